"""The words and marks, in many languages, with which replies announce an answer. Patterns only; `markers` uses them."""

from __future__ import annotations

import re

from agents.answers.guarded import Guarded

WORDS_ASCII = (
    "answer",
    "antwort",
    "respuesta",
    "resposta",
    "risposta",
    "antwoord",
    "jawaban",
    "cevap",
    "odpowied",
    "vastaus",
    "svar",
    "odpov",
    "raspuns",
    "losung",
    "loesung",
    "solucion",
    "solucao",
    "reponse",
)
WORDS_OTHER = (
    "réponse",
    "ответ",
    "答案",
    "答え",
    "答：",
    "答:",
    "回答",
    "解答",
    "정답",
    "답",
    "الإجابة",
    "الجواب",
    "उत्तर",
    "תשובה",
    "απάντηση",
    "คำตอบ",
    "پاسخ",
    "đáp án",
    "trả lời",
    "відповідь",
    "odpowiedź",
    "odpověď",
    "válasz",
    "răspuns",
    "cevabı",
    "lösung",
    "solución",
    "solução",
    "câu trả lời",
    "yanıt",
)
DECIMAL_COMMA = frozenset(
    [
        *("antwort", "respuesta", "resposta", "risposta", "antwoord", "jawaban", "cevap", "cevabı", "yanıt", "svar"),
        *("svaret", "lösung", "solución", "solução", "soluzione", "đáp án", "trả lời", "câu trả lời", "răspuns"),
    ]
)
"""Markers of languages that write 1.234,5."""
NAME = "|".join(
    [
        "answers?",
        "antwort",
        "respuesta",
        "resposta",
        "risposta",
        "antwoord",
        "jawaban",
        "cevap",
        "cevabı",
        "yanıt",
        "vastaus",
        "svar",
        "svaret",
    ]
    + [re.escape(word) for word in WORDS_OTHER if word[-1] not in ":："]
    + ["(?<![回解])答(?=[:：])"]  # alone it is a common syllable
    + [
        "r[ée]ponse",
        "odpowied[źz]",
        "odpov[ěe][ďd]",
        "r[ăa]spuns(?:ul)?",
        "l[öo](?:e)?sung",
        "soluci[óo]n",
        "solu[çc][ãa]o",
    ]
)
IS = (
    r"is|are|was|would be|must be|should be|will be|has to be|equals|being|ist|lautet|beträgt|ergibt|wäre|est|es|será|"
    r"sería|é|è|is:|é:|er|är|on|to|adalah|jest|je|este|будет|является|это|是|为|為|は|är|là|هي|هو|है|είναι|"
    r"คือ|은|는|="
)
AFTER = re.compile(
    rf"(?P<name>{NAME})(?P<end>[*_`\"'”」】\])]{{0,4}})"
    # of what: "to the question", "(arabic numerals)", "choice", "option"
    r"(?P<about>(?:\s(?:option|choice|letter|number|here|would|therefore|then|thus|finally|correcta?|"
    r"richtige|correcte|finale?))?"
    r"(?:\s?\([^()\n]{0,40}\))?(?:\s(?:to|for|of|in|as|from|a la|à la|auf die)\s[^\n.:?!]{1,60}?)?)"
    rf"(?:[ \t]{{0,3}}[*_`]{{0,4}}[ \t]{{0,3}}(?:(?P<colon>[:：=]|->|→|⟶|=>|(?<=\s)[-–—](?=\s))|"
    rf"[ \t]?(?P<is>(?<=[ 案え답은는])(?:{IS})(?![A-Za-z])|是|为|為|は|은|는)[ \t]{{0,3}}(?P<colon2>[:：])?)|"
    rf"(?P<bare>[ \t]{{0,3}}[*_`#.]{{0,4}}[ \t]{{0,8}}(?=\n)))",
    re.IGNORECASE,
)
STRONG = re.compile(
    r"[ \t>#*_`\"'“「【\[(\-•·\d.]{0,12}(?:(?:so|thus|hence|therefore|my|the|your|our|die|la|el|der|das|de|"
    r"det|il|o|a|最终|最終|正确|正確|итоговый|правильный|votre|mi|final|correct|right|short|direct|best|"
    r"step \d{1,2}[.:]?|richtige|endgültige|finale|correcta|правильный|окончательный|sonuç|doğru|"
    r"sluttlig)[ \t,:*_]{1,6}){0,4}$",
    re.IGNORECASE,
)
DOUBT = Guarded(
    r"\b(?:if|whether|maybe|perhaps|suppose|assume|assuming|what if|might|could|not sure|unsure|check|"
    r"checking|wonder|say|does|did|is|whose|why|how|unless|until|verify|guess(?:ed|"
    r"es)?)\s(?:that\s)?(?:the |my |this |your |an? )?(?:final |correct |right )?$|"
    r"\b(?:possible|potential|candidate|previous|wrong|incorrect|initial|plausible|long|longer|detailed)\s$|"
    r"\b(?:not|n't|n’t|never) (?:\w{1,12} )?(?:agree|think|believe|say|claim|mean|conclude)(?: that)? (?:the |"
    r"my |this )?"
    r"(?:final |correct )?$",
    (
        "if|whether|maybe|perhaps|suppose|assume|assuming|might|could|sure|unsure|check|checking|wonder|say|does|did|"
        "is|whose|why|how|unless|until|verify|guess|guessed|guesses|possible|potential|candidate|previous|wrong|"
        "incorrect|initial|plausible|long|longer|detailed|agree|think|believe|claim|mean|conclude"
    ),
    at_end=True,
)
IF = re.compile(r"(?:^|[\s(])(?:if|unless|otherwise)\s[^.!?\n]*$", re.IGNORECASE)
IF_BEHIND = re.compile(r"[^.!?\n]*\sif (?:there|it|we|he|she|they|you)\b", re.IGNORECASE)
"""What makes `the answer would be` hypothetical."""
OPTION = re.compile(
    r"\b(?:correct|best|closest|right|final|only|most \w{1,20}) (?:option|choice|statement|one|letter|alternative)"
    r"(?:\s[^.\n:]{0,80}?)?\s(?:is|would be|must be|should be|are)\b:?[ \t]*",
    re.IGNORECASE,
)
BOX = re.compile(r"\\(?:boxed|fbox|framebox)\s{0,3}(?:(\{)|\s(\S{1,40}))")
AND = re.compile(r"(?:[\s,;$]|\\[()\[\]]|\\q?quad|\\text\{\s*(?:and|or)\s*\}|and\b|or\b){1,12}")
TAG = re.compile(
    r"(?P<opens><)(?:(?:final_|your_)?(?:answer|solution|output|result|final)|"
    r"\|begin_of_box\|)>\s*|\[(?P<name>(?:final |final_)?(?:answer|"
    r"solution|ans))\](?=[^\n]{0,300}\[/)\s*",
    re.IGNORECASE,
)
HASHES = re.compile(r"^[ \t]{0,3}#{4}[ \t]{0,3}(?=[^\s#])", re.MULTILINE)
RUN_ON = re.compile(
    r"\n[ \t]{0,3}(?:#{1,4} ?)?\*{0,2}(?:Question|Q|Problem|Human|User|Exercise|Instruction|"
    r"Input)\*{0,2}(?: ?\d{1,4})?\*{0,2} ?[:：]",
    re.IGNORECASE,
)
KEY = re.compile(r"[\"'“]?(?P<key>[\w \-]{2,30})[\"'”]?\s{0,5}[:：]\s{0,5}")
KEYS = frozenset(
    {
        "answer",
        "finalanswer",
        "correctanswer",
        "theanswer",
        "youranswer",
        "answers",
        "réponse",
        "antwort",
        "respuesta",
        "resposta",
        "ответ",
        "答案",
        "risposta",
        "solution",
        "choice",
        "answerchoice",
        "correctoption",
        "result",
        "finalresult",
    }
)
PREFERRED = frozenset(
    {
        "answer",
        "finalanswer",
        "correctanswer",
        "theanswer",
        "youranswer",
        "answers",
        "réponse",
        "antwort",
        "respuesta",
        "resposta",
        "ответ",
        "答案",
        "risposta",
    }
)
CONFIDENCE = Guarded(
    r"[\s,;.(\[*_`-]{0,8}(?:my |stated |overall )?(?:confidence|confident|certainty|"
    r"(?<=[,;(] )probability(?=\s?[:=])|konfidenz|"
    r"confianza|confiance|置信度|уверенность)(?:\s(?:level|score))?[*_`\"']{0,4}(?:\s(?:is|of|in)|\s?[:：=]|"
    r"\s?\d).*$",
    "confiden|certainty|probability|konfidenz|confian|置信度|уверенность",
    re.IGNORECASE | re.DOTALL,
)
SURE = re.compile(
    r"\s{0,3}(?:[,(\[-]{1,2}|\sand\s|\sbut\s)\s{0,2}(?:I am |I'm )?(?:about |"
    r"roughly )?\d{1,3}(?:\.\d+)?\s?%\s?(?:confident|"
    r"confidence|sure|certain)[^\n]{0,40}$",
    re.IGNORECASE,
)
ECHO = re.compile(
    r"<[^<>\n]{0,60}>|\[(?:(?:your|insert|the|final|an?) \w|(?:answer|letter|number|option|x|yes)\b)[^\]\n]{0,60}\]|"
    r"[\s._…*#?\-]{0,60}|\{(?:your )?(?:final )?answer\}"
    r"|(?:your|my|the|insert|put|write)(?: \w+){0,3} (?:answer|letter|option|number)(?: here)?|yes or no|"
    r"yes/no|a number|the letter of an option|a word or a few|your answer,? in one line|none yet|tbd|"
    r"n/a yet",
    re.IGNORECASE,
)
