"""The words by which a sentence names something: copulas, descriptions, verbs. Patterns only; `naming` uses them."""

from __future__ import annotations

import re

_SURELY = (
    r"(?:\s(?:actually|in fact|indeed|probably|most likely|likely|therefore|thus|also|now|currently|still|simply|"
    r"commonly|officially|generally|usually|often|widely|definitely|clearly|really|of course|hence))?"
)
VERB = re.compile(
    r"\b(?:is|was|are|were|has|have|had|did|does|do|can|would|will|became|becomes|takes?|took|wrote|\w{3,}ed|"
    r"stands?|means?|gives?|gets?|yields|makes?|comes?|lies|lives|won|led|sang|built|made|found|sits|flows|belongs|"
    r"begins?|began|consists|refers|contains|spells|translates|i'm|i|it's|that's|he's|she's)\b|['’]s (?:called|named)\b"
    r"|^(?:it|that|this)['’]s\b",
    re.IGNORECASE,
)
"""A text without any such word is no sentence."""
COPULA = re.compile(rf"\s(?:is|was|are|were|would be|must be|has to be){_SURELY}\s")
PRONOUN = re.compile(r"(?:it|this|that|he|she|they|these|those|there)", re.IGNORECASE)
DESCRIBES = re.compile(
    r"(?:the|this|that|these|those|his|her|their|its|my|our|your|a|an|one|another|today|tomorrow|yesterday|what|who)\b",
    re.IGNORECASE,
)
"""How what was asked for begins in a sentence."""
DESCRIPTION = re.compile(
    r"(?:the|a|an|one of|considered|regarded|known (?:as|for)|among|also known|credited|often|not only)\s|"
    r"[A-Z][\w.]{1,20}(?: [A-Z]\w{1,20})?['’]s?\s",
)
SUPERLATIVE = re.compile(
    r"(?:the|their|its|his|her|our) (?:\w+ ){0,2}?(?:\w{2,}est|most|least|first|last|only|main|second|third)\b",
    re.IGNORECASE,
)
PROPER = re.compile(r"(?:the|a|an) [A-Z]")
CLAUSE = re.compile(r"\b(?:that|which|who|whose|where|of|in|for|responsible|with|to|by|from)\b")
NO_VALUE = re.compile(
    r"(?:not|hard|difficult|impossible|unclear|possible|important|because|true that|as follows|often)\b"
)
NO_STATEMENT = re.compile(r"[?？]|\b(?:if|whether|either)\b|\bis (?:being|not)\b|\bor\b")
_REST = r"(?P<value>[^.!?;:]{1,80}?)"
_NAME = r"(?:[A-Z][\w.'’-]*|[Tt]he [A-Z][\w.'’-]*)(?:,? (?:[A-Z][\w.'’-]*|of|the|de|van|von|da|del|la|and|&)){0,6}"
_YEAR = r"(?:1\d{3}|20\d{2})"
_MONTH = r"(?:January|February|March|April|May|June|July|August|September|October|November|December)"
_DATE = (
    rf"(?:{_MONTH} \d{{1,2}}(?:st|nd|rd|th)?, {_YEAR}|\d{{1,2}} {_MONTH},? {_YEAR}|{_MONTH} {_YEAR}|{_YEAR}|"
    rf"\d{{3,4}} (?:BC|BCE|AD|CE))"
)
_WHEN = rf"(?:,? (?:in|on|around|during) (?:the year |early |late )?{_DATE})"
TITLE = re.compile(
    r"(?:(?:the|an?) )?(?:[A-Z]?[\w-]+ ){0,3}(?:painter|artist|author|writer|novelist|poet|singer|actor|actress|"
    r"physicist|chemist|"
    r"scientist|composer|director|inventor|explorer|mathematician|philosopher|astronaut|playwright|planet|element|"
    r"novel|film|"
    r"movie|song|band|city|country|river|goddess|god|character|language|company|word|year|state|island)(?: of)? "
    r"(?=[A-Z\d\"“*])"
)
FORMS = tuple(
    re.compile(pattern)
    for pattern in (
        # `Reversing the letters gives: olleh`, `Concatenating them gives "nyle".`
        r"[^:\n]{1,80}\b(?:gives|yields|is|are|get|becomes|so|spells)(?: us)?:\s+(?P<value>[^:\n]{1,80}?)",
        r"[^\"\n]{1,120}\b(?:gives|yields|is|get|becomes|spells|reads|says|answers?)(?: us| as)?:? "
        r"[\"“](?P<value>[^\"“”]{1,80})[\"”]",
        # `Canberra is the answer`
        r"(?P<value>[^.!?;:]{1,60}?)\s(?:is|was)\s(?:the|my)\s(?:correct |right |final |best )?answer",
        # `It is called The Blue Danube`, `That's Ottawa`
        r"(?:[Ii]t|[Tt]hat|[Tt]his|[Tt]hey|[Hh]e|[Ss]he)(?:['’]s| is| was| are| were| would be| must be) "
        r"(?:also )?(?:(?:called|named|titled|entitled|known as|referred to as) )?"
        r"(?P<value>(?!(?:not|hard|difficult|impossible|unclear|possible|likely|important|because|true that)\b)"
        r"[^.!?;:]{1,80}?)",
        # `Emma was written by Jane Austen in 1815`
        rf"[^.!?;:\n]{{1,100}}?\b(?:was|were|is|are|been)(?: \w+ly| first)? (?:\w{{3,}}ed|written|drawn|made|built|"
        rf"sung|won|known|"
        rf"given|found|led|held|run|put|set|taken|spoken)(?:{_WHEN})? by (?P<value>(?:(?! and "
        rf"\w+ed\b)[^.!?;:]){{1,60}}?)(?: and \w+ed [^.!?;:]{{1,60}}|{_WHEN})?",
        # `The song is called Hey Jude`, `The capital is known as Ottawa`
        r"[^.!?;:\n]{1,100}?\b(?:is|was|are|were)(?: \w+ly)? (?:called|named|titled|entitled|known as|spelled|spelt|"
        r"referred to as) " + _REST,
        # `The Louvre is located in Paris`
        r"[^.!?;:\n]{1,100}?\b(?:is|was|are|were)(?: \w+ly)? (?:located|situated|found|based|written|programmed|"
        r"painted|headquartered|set|born|"
        r"held|spoken|buried|"
        r"kept|housed|hosted)(?: mainly| primarily)? (?:in|at|on|near|within) " + _REST + _WHEN + "?",
        # `DNA stands for deoxyribonucleic acid`
        r"[^.!?;:\n]{1,100}?\b(?:stands? for|refers? to|means?|translates? (?:to|as)|comes? from|came from|consists? "
        r"of|belongs? to|"
        r"flows? into|lies in|lives? in|lived in|is made (?:up )?of|are made of|is composed of|works as|worked as) "
        + _REST,
        # `The war ended in 1945`
        rf"(?![^.!?;:\n]* by [A-Z])[^.!?;:\n,]{{1,100}}?\s(?:in|on|around|during) (?:the year )?(?P<value>{_DATE})",
        # `Historians credit Edison with it`
        rf"[^.!?;:\n]{{1,60}}?\bcredit(?:s|ed)? (?P<value>{_NAME}) (?:with|for) [^.!?;:\n]{{1,100}}",
        # `She plays tennis`, `At the end, Alice has the red ball`
        r"(?:[Ss]he|[Hh]e|[Tt]hey|[Ii]t|[Ww]e) (?!is|was|are|were|has been|have|can|could|will|would|should|may|"
        r"might|does|did|do|"
        r"depends|seems|appears|says)(?!\w+ly\b)\w{3,}"
        r"(?: (?:in|at|to|as|for|on|with|from))? (?P<value>(?:[\w.'’-]+ ?){1,5})",
        r"[A-Z]\w+ (?:has|had|holds|gets|receives|ends up with|is left with|is holding|is dancing with|is playing) "
        r"(?P<value>(?:the|a|an) (?!\w*(?:est|most|first|only|record)\b)(?:[\w.'’-]+ ?){1,4})",
        # `Red and blue make purple`
        r"[^.!?;:\n]{1,80}\b(?:makes?|gives?|produces?|yields?|forms?|creates?) (?P<value>[\w-]+(?: [\w-]+){0,2})",
        # `Fleming discovered penicillin`
        rf"(?P<value>{_NAME}) (?:first |famously |originally )?(?:wrote|invented|discovered|painted|composed|founded|"
        rf"won|directed|"
        r"created|developed|built|designed|played|sang|led|formulated|proposed|published|produced|introduced|"
        r"established|"
        r"ruled|conquered|explored|sculpted|coined|(?:has|have|had|holds|held) the (?=\w*(?:est|most|first|only|"
        r"record)\b))\b[^.!?;:\n]{1,120}",
    )
)
"""Forms of sentences that name something, the narrowest first."""
CONCLUDES = re.compile(
    r"\W{0,4}(?:so|therefore|thus|hence|in conclusion|overall|finally|consequently|in summary|to summarize)\b",
    re.IGNORECASE,
)
GOES_ON = re.compile(
    r"\W{0,4}(?:it|he|she|they|this|these|those|its|his|her|their|while|although|though|note|other|others|because|"
    r"since|"
    r"as|for|many|some|however, (?:it|this|some|many)|in addition|additionally|also|explanation|source|fun fact|there|"
    r"for example|we|you|i|unlike|founded|known|located|born|the (?:city|book|film|song|novel|name|word|term|play|"
    r"painting) "
    r"(?:was|is|has))\b",
    re.IGNORECASE,
)
"""How a sentence begins that says more about the answer before it."""
NO_NAME = re.compile(
    r"(?:sure|here|let|step|first|okay|ok|well|i|we|to|based|according|given|great|good|the following|reasoning|"
    r"thinking|"
    r"question|certainly|of course|absolutely|explanation|solution|analysis|\d{1,2}[.)])\b",
    re.IGNORECASE,
)
"""How a line begins that opens a reply and names nothing."""
