"""What a statement says beside its answer: how it begins, what it is not, what is said about it."""

from __future__ import annotations

import re

_LEADS = re.compile(
    r"(?:(?:so|thus|hence|therefore|well|sure|actually|in fact|indeed|yes|okay|ok|in short|overall|finally|in "
    r"conclusion|"
    r"consequently|as (?:stated|mentioned|noted|far as i know)[^,]{0,40}|according to [^,]{1,80}|based on [^,]{1,80}|"
    r"if i (?:recall|remember) correctly|to my knowledge|historically|in other words)(?:,\s+|!\s+|:\s+)|"
    r"(?:so|thus|hence|therefore)\s+(?=(?:the|it|this|that|i|at|in)\b)|"
    r"(?:i (?:think|believe|guess|suppose|would say)|i['’]d say|it (?:seems|appears)|"
    r"i['’]m (?:fairly |pretty |quite |very )?(?:sure|certain|confident))(?: that)?,?\s+|"
    r"(?:i (?:would|will)|i['’](?:d|ll)|let['’]s|my (?:best )?guess is)(?: probably)?(?: (?:go with|pick|choose|"
    r"answer|guess|vote for))?"
    r"(?<=[a-z])\s+(?=[A-Z\"“*])|"
    r"(?:if|since|because|as|when|given that)\s(?![^,]*\b(?:not|n['’]t)\b)[^,]{1,100},\s(?:then\s)?(?=[^,]*\b(?:is|"
    r"was|are|were)\b)|"
    r"(?:in|at|on|during|for|among|from|within|of|at the end of) [^,\d]{1,60},\s(?=(?:the|it|this|that|he|she|they|"
    r"its|[A-Z])\b)|"
    r"at the end(?: of [^,]{1,40})?,\s)",
    re.IGNORECASE,
)
_BELIEF = re.compile(
    r",\s(?:i (?:believe|think|guess|suppose|would say)|probably|most likely|of course|i['’]m (?:pretty |fairly )?sure|"
    r"if i (?:recall|remember) correctly|as far as i know)\.?$",
    re.IGNORECASE,
)
_YEARS_OR_WORDS = re.compile(r"(?<=\w)[\"”']?\s\((?![IVXLC]{1,5}\))[^()]{1,120}\)\.?$")
"""`Marie Curie (1867-1934)`, `NATO (North Atlantic Treaty Organization)`; not `iron (III)`."""
_INNER = re.compile(r"(?<=\w)\s\((?![IVXLC]{1,5}\))[^()]{2,120}\)(?=,|\s(?:is|was|are|were)\b)")
_AND_NOT = re.compile(
    r",?\s(?:and |but )?not\s(?!only\b|to be confused\b)[^,.;]{1,60}\.?$|\s\((?:and )?not\s[^()]{1,80}\)\.?$|"
    r",?\s(?:rather than|instead of|as opposed to|unlike)\s[^,.;]{1,60}\.?$|,\snot to be confused with\s[^.]{1,80}\.?$"
)
_NOT_BUT = re.compile(r".{0,80}\bnot (?P<no>[^,.;]{1,60}?),? but (?:rather |actually )?(?P<value>[^,.;]{1,80})\.?$")
_BUT = re.compile(
    r"[^.!?]{0,160}\b(?:think|thinks|thought|believe|believed|say|said|assume|assumed|might|may|often|commonly|"
    r"mistaken\w*|"
    r"confused?|isn['’]t|not|seem\w*|guess|expect)\b[^.!?]{0,80},\s(?:but|yet|however,|"
    r"though)\s(?P<value>[^.!?]{1,160})[.!]?$",
    re.IGNORECASE,
)
_APPOSITION = re.compile(
    r"^(?P<value>[^,.;:!?()]{1,60}),\s(?:(?:the|a|an|which|who|whose|where|because|since|as|but|although|though|one of|"
    r"also (?:known|called)|known|from|located|born|founded|formerly|commonly|often|based|written|directed|"
    r"specifically|in "
    r"particular|making|given|according|when|while|with|for|and (?:it|he|she|they|this))\s(?![A-Z][\w]+(?: and\b|$))"
    r"|[A-Z]\w+['’]s\s|the (?=[A-Z]\w* (?:city|capital|king|queen|word|term|name|god|goddess|company|physicist|"
    r"author|writer|painter|"
    r"composer)))"
    r"(?!the [A-Z]).{1,300}$",
    re.DOTALL,
)
_NO_APPOSITION = re.compile(
    r"^(?:in|at|on|for|after|if|when|by|with|from|among|of|to|as|during|since|while|\w+ed|\w+ing|first|then|next|"
    r"however|so|yes|no)\b",
    re.IGNORECASE,
)
_FINITE = re.compile(r"\b(?:is|was|are|were|has|have|had|reads|becomes|gives|means|will|would|can|does|did|equals)\b")
_RELATIVE = re.compile(r"\b(?:that|which|who|whose|where|because|since|as|but|although|though|when|while)\b")
_NAMES = re.compile(r"\b(?:is|was|are|were|has|have|had)\b")
_WHICH = re.compile(r",\s(?:which|who|whose|where|because|since|although|though|while|making|with)\s[^\n]{1,300}$")
_BUILT = re.compile(
    r",\s(?:\w{3,}ed|built|written|known|drawn|made|born|found|held|set|led|won|sung)\s(?:in|by|on|at|as|from|for|to|"
    r"with|near)\s[^\n]{1,200}$"
)
"""`the Eiffel Tower, built in 1889`"""
_REASON = re.compile(r"\s(?:because|since|due to|thanks to)\s[^\n]{1,300}$")
_MORE = re.compile(r"\s[–—-]\s(?:the|a|an|it|this|which|because|also|he|she|they)\s[^\n]{1,300}$")
_GOES_ON = re.compile(
    r"(?<=[^\s.][^\s.][.!?])\s+(?=(?:She|He|It|This|They|That|These|I|We|You|Note|Because|As|Since|The|Its|His|Her|"
    r"Their|"
    r"While|Although|Many|Some|In|For|Both)\b\s).*$",
    re.DOTALL,
)


def without_asides(text: str) -> str:
    """A statement without its opening words, without what it denies and without clauses about its answer. A text that
    would be empty stays as it is."""
    bare = text.strip()
    for _ in range(4):
        lead = _LEADS.match(bare)
        if lead is None or lead.end() == len(bare):
            break
        bare = bare[lead.end() :]
    for pattern in (_GOES_ON, _BELIEF, _YEARS_OR_WORDS, _MORE, _INNER):
        bare = pattern.sub("", bare).rstrip() or bare
    if " but " in bare or ", yet " in bare or "however" in bare:
        if (found := _NOT_BUT.fullmatch(bare)) is not None and _NAMES.search(found["no"]) is None:
            return found["value"].strip()
        if (found := _BUT.fullmatch(bare)) is not None:
            return without_asides(found["value"])
    if "not" in bare or "than" in bare or "instead" in bare or "unlike" in bare or "opposed" in bare:
        bare = _AND_NOT.sub("", bare).rstrip() or bare
    if "," in bare:
        if (found := _APPOSITION.match(bare)) is not None and _is_apposition(
            found["value"], bare[found.end("value") :]
        ):
            return found["value"].strip()
        bare = _BUILT.sub("", _WHICH.sub("", bare)).rstrip() or bare
    bare = _REASON.sub("", bare).rstrip() or bare
    return bare.strip() or text


def _is_apposition(value: str, rest: str) -> bool:
    """Whether a name stands before a comma, and behind it no clause of its own."""
    if _NAMES.search(value) is not None or _NO_APPOSITION.match(value) is not None:
        return False
    verb = _FINITE.search(rest)
    if verb is None:
        return True
    relative = _RELATIVE.search(rest)
    return relative is not None and relative.start() < verb.start()
