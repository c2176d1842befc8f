"""Yes and no in the words of many languages, with what turns them round."""

from __future__ import annotations

import re

from agents.answers.guarded import word_set, words_of
from agents.answers.undress import undress

YES = frozenset(
    [
        "yes",
        "true",
        "y",
        "correct",
        "right",
        "yeah",
        "yep",
        "sure",
        "affirmative",
        "plausible",
        "valid",
        "accurate",
        "oui",
        "si",
        "sí",
        "sim",
        "ja",
        "da",
        "да",
        "vrai",
        "verdadero",
        "verdadeiro",
        "richtig",
        "wahr",
        "vero",
        "верно",
        "evet",
        "tak",
        "ano",
        "igen",
        "kyllä",
        "はい",
        "是",
        "是的",
        "对",
        "對",
        "正确",
        "예",
        "네",
        "نعم",
        "हाँ",
        "हां",
        "ναι",
        "כן",
        "có",
        "ใช่",
        "ya",
        "sì",
        "iya",
        "так",
        "بله",
        "بلی",
        "没错",
        "沒錯",
        "对的",
        "正しい",
        "đúng",
        "vâng",
        "joo",
        "correcto",
        "correto",
        "stimmt",
    ]
)
NO = frozenset(
    [
        "no",
        "false",
        "n",
        "incorrect",
        "wrong",
        "nope",
        "nah",
        "negative",
        "implausible",
        "invalid",
        "inaccurate",
        "untrue",
        "unsupported",
        "non",
        "nein",
        "nee",
        "não",
        "нет",
        "faux",
        "falso",
        "falsch",
        "nie",
        "ne",
        "ei",
        "hayır",
        "nem",
        "неверно",
        "いいえ",
        "否",
        "不",
        "不是",
        "不对",
        "错",
        "错误",
        "아니요",
        "아니오",
        "لا",
        "नहीं",
        "όχι",
        "לא",
        "không",
        "ไม่ใช่",
        "tidak",
        "ні",
        "خیر",
        "نه",
        "nu",
        "bukan",
        "sai",
        "incorrecto",
        "incorreto",
        "間違い",
        "不正确",
    ]
)
_ANSWER_FIRST = ("si", "ne", "da", "ei", "ya", "nie", "non", "ja")
"""Words of other languages that English texts have too: an answer where a comma follows them at the beginning."""
_PHRASES = {
    **dict.fromkeys(
        ("no way", "no chance", "no es verdad", "no es cierto", "это неправда", "это не так", "hardly"), "no"
    ),
    **dict.fromkeys(
        ("no doubt", "no doubt about it", "es verdad", "es cierto", "это правда", "это так", "you bet"), "yes"
    ),
}
_PAIRS = re.compile(
    r"\b(?:yes|true|correct|right) (?:or|and|/) (?:no|false|incorrect|wrong)\b|\byes\s?/\s?no\b|"
    r"\btrue\s?/\s?false\b|\bno (?:or|and) yes\b"
)
_FOREIGN_NOT = re.compile(
    r"\b(?:stimmt(?: \w+){0,2} nicht|nicht (?:richtig|wahr|korrekt|möglich)|(?:pas|n'est pas) (?:vrai|correcte?|"
    r"exacte?|possible)|"
    r"no es (?:verdad|correcto|cierto|posible|verdadero)|não é (?:verdade|correto|verdadeiro|possível)|"
    r"non è (?:vero|corretto|possibile)|не (?:верно|правда|так|может|является)|niet (?:waar|juist|correct))\b|"
    r"不可以|不能|不会|不行|不可能|没有"
)
_CONCEDES = re.compile(
    r"\b(?:it(?:'s| is) |while )?(?:true|correct|right) that\b[^.!?]{1,200}?[,;] (?:but|however|yet)\b"
)
"""`It is true that many believe it, but ...` concedes something else."""
_NO_EVIDENCE = re.compile(r"\bno (?:evidence|proof|indication|sign|reason) (?:that|for|of|to)\b[^.!?]*")
"""`no evidence that it is true` says neither."""
_NOT_NO = re.compile(
    r"\b(?:no|without(?: a)?) (?:doubt|question|problem|wonder|need|matter|longer|one|more)\b|\bwhether or not\b"
)
_NEGATED = re.compile(
    r"\b(?:not|isn't|is not|wasn't|aren't|never|cannot be|can't be|don't think (?:so|it is|that is)|"
    r"far from)(?: \w+){0,1} "
    r"(true|correct|right|plausible|valid|accurate|false|incorrect|wrong|implausible|invalid|inaccurate|yes|no)\b|"
    r"\b(?:not|isn't) (supported)\b"
)
_DETERMINER = re.compile(
    r"\bno (?!(?:because|since|as|it|he|she|they|this|that|there|i|we|you|the|a|an|but|and|or|for|sir|in|if|due|"
    r"given|so|from|"
    r"evidence\b.{0,5}$|not?)\b)(?=[a-z]{2,})"
)
"""`no further steps`: no answer to anything."""
_MANNER = re.compile(
    r"\W*(?:(?P<no>(?:not (?:really|at all|exactly|quite|necessarily|likely|according to)|(?:absolutely|certainly|"
    r"definitely|"
    r"of course|probably|unfortunately|sadly|apparently|clearly|obviously|surely) not|"
    r"by no means|never|(?:it|this|that)(?: is|'s) (?:not |im)possible|(?:it|this|that) isn't possible|"
    r"impossible|unlikely|i (?:do not|don't) think so|"
    r"(?:that|this|it)(?: is|'s) not (?:the case|so)|"
    r"(?:(?:so|hence|thus|therefore|then),? )?(?:it|this|that|he|she|they|one|you) (?:could|can|would|did|do|"
    r"does|is|was|will|has)"
    r"(?: not|n't))\b)|"
    r"(?P<yes>(?:(?:i think|it seems|it appears|i believe) so|absolutely|certainly|definitely|indeed|of course|"
    r"surely|without (?:a )?doubt|(?:it|this|"
    r"that)(?: is|'s) possible)"
    r"(?! not\b)\b))(?=[^\w]|$)",
)
"""How a reply that says neither yes nor no begins."""
_BOTH_WAYS = re.compile(
    r"\byes (?:for|if|when|in|to|on|and)\b[^.!?]{0,80}\bno(?: (?:for|if|when|in|to|on)\b|[.!?]|$)|\bno (?:for|"
    r"if|when|in|to|on)\b[^.!?]{0,80}\byes\b|"
    r"\b(?:some|many|most)\b[^.!?]{0,40}\b(?:yes|no)\b[^.!?]{0,20}\bothers?\b[^.!?]{0,40}\b(?:yes|no)\b|"
    r"\b(?:technically|theoretically|in theory|strictly(?: speaking)?|officially),? (?:yes|"
    r"no)\b[^.!?]{0,60}\bbut\b[^.!?]{0,60}\b(?:yes|no)\b"
)
_WORD = re.compile(r"[^\W\d_]+", re.UNICODE)
_CJK_NO = re.compile(r"不是|不对|不對|不正确|不正確|(?<!是)否|错误|錯誤|いいえ|違います|아니")
_CJK_YES = re.compile(
    r"是的|正确|正確|はい|没错|(?:\A|[,.，、:]\s?)(?:是|对|對|可以|会|會|能|有)(?:的)?(?=[\s,.，、!]|\Z)|(?:可以|会|會)的?[.!]?\Z"
)
"""是 within a sentence only joins its parts."""
_WHETHER = re.compile(r"(?:是否|能否|可否|是不是|对不对|能不能)[^,.，。、]{0,30}")
_REFUSAL = re.compile(
    r"\b(?:cannot|can't|can not|could not|unable to|impossible to) (?:be )?(?:determine|determined|say|"
    r"tell|answer|answered|know|known|decide|decided)"
    r"|\b(?:unknown|unclear|undetermined|not sure|no (?:idea|clue|answer)|maybe|perhaps|possibly|it depends|"
    r"uncertain|"
    r"not enough information|no information|let me (?:think|check|see|consider)|sometimes (?:yes|no)|not "
    r"(?:given|stated|mentioned|specified|provided))\b"
)


SHORT = 40
_MARKS = {"yes": "✅✔☑", "no": "❌✗✘✖🚫"}
"""Signs that say it all in a text of `SHORT` characters at most with one word beside them at most."""
_SAYS = (
    YES
    | NO
    | word_set(
        "supported nicht pas niet hardly never means course likely exactly quite necessarily unlikely absolutely "
        "certainly "
        "definitely indeed surely doubt possible impossible think so seems appears not case it this that he she they "
        "one you"
    )
)
"""Of these words a text in ASCII has at least one that says yes or no."""


def yesno(text: str, last: bool = False) -> str | None:
    """ "yes" or "no"; None where the text says neither, or both. The first such word counts, or the `last`."""
    bare = undress(text).casefold()
    alone = bare.strip(" .!,;:\"'")
    if alone in YES:
        return "yes"
    if alone in NO:
        return "no"
    if (phrase := _PHRASES.get(alone)) is not None:
        return phrase
    if len(text) <= SHORT and not text.isascii() and len(words_of(bare)) < 2 and _SAYS.isdisjoint(words_of(bare)):
        for word, signs in _MARKS.items():
            if any(sign in text for sign in signs):
                return word
    if bare.isascii() and _SAYS.isdisjoint(words_of(bare)):
        return None
    bare = bare.replace("n/a", " ")
    if _REFUSAL.search(bare) or _BOTH_WAYS.search(bare):
        return None
    bare = _NO_EVIDENCE.sub(" ", _CONCEDES.sub(" ", bare))
    bare = _DETERMINER.sub(" ", _PAIRS.sub(" ", bare))
    bare = _FOREIGN_NOT.sub(" no ", _NOT_NO.sub(" ", bare))
    found = []
    for match in _NEGATED.finditer(bare):
        found.append((match.start(), "yes" if match.group(1) in NO else "no"))
    bare = _NEGATED.sub(lambda one: " " * len(one.group()), bare)
    for match in _WORD.finditer(bare):
        word = match.group()
        if word in YES or word in NO:
            if (
                word
                in (
                    "right",
                    "sure",
                    "negative",
                    "si",
                    "ne",
                    "da",
                    "ei",
                    "n",
                    "y",
                    "ya",
                    "nie",
                    "valid",
                    "plausible",
                    "non",
                    "ja",
                )
                and len(bare) > 40
                and not (
                    word in _ANSWER_FIRST and not match.start() and bare[match.end() :][:1] in (",", ".", "!", ";")
                )
            ):
                continue  # in a longer English text these are other words
            found.append((match.start(), "yes" if word in YES else "no"))
    if not found and not bare.isascii():
        bare = _WHETHER.sub(" ", bare)
        found = [(one.start(), "no") for one in _CJK_NO.finditer(bare)] or [
            (one.start(), "yes") for one in _CJK_YES.finditer(bare)
        ]
    if not found and (manner := _MANNER.match(bare)) is not None:
        return "no" if manner["no"] else "yes"
    if not found:
        return None
    words = _WORD.findall(bare)
    if len(words) > 2 and len({one for _, one in found}) > 1 and all(word in YES or word in NO for word in words):
        return None  # no, yes, no
    found.sort()
    return found[-1][1] if last else found[0][1]


def is_determiner(text: str) -> bool:
    """Whether a text begins with a `no` that belongs to the word behind it: `no further steps`."""
    return _DETERMINER.match(text[:80].casefold().lstrip(" \"'*_")) is not None


def both_ways(text: str) -> bool:
    """Whether a text says yes to one part and no to another: `yes for adults, no for children`."""
    words = words_of(text)
    return "yes" in words and "no" in words and _BOTH_WAYS.search(text.casefold()) is not None
