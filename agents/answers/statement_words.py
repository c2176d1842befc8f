"""The words by which a statement of a number is told from a plan, a bound, a label or a hedge. Patterns only."""

from __future__ import annotations

import re

from agents.answers.guarded import Guarded

LABELS = re.compile(
    r"(?:\b(?:room|step|question|option|choice|chapter|figure|table|part|no\.|number|level|phase|grade|"
    r"problem|equation|case|type|class|page|line|"
    r"item|section|exercise|example|route|bus|train|highway|apartment|flight|gate|player|team|group|box|"
    r"in the year)\s?|#)$",
    re.IGNORECASE,
)
HEDGE = re.compile(
    r"\b(?:or|either|between|range|ranges|ranging|oder|ou|o|или|at least|at most|more than|less than|fewer than)\b|或",
    re.IGNORECASE,
)
REFUSAL = Guarded(
    r"\b(?:cannot|can't|can not|could not|couldn't|unable|impossible|unknown|undetermined|insufficient|"
    r"not enough|unclear|not possible|no way to|"
    r"don't know|do not know|not sure|no answer|none(?! (?:left|remain|over))|undefined|depends|"
    r"indeterminate|not given|"
    r"tbd|error|timeout|see (?:step|section|page|above|below)|(?:is|are)(?:n't| not) (?:among|one of|in|listed)|"
    r"let me (?:think|see|check|try|compute|calculate|work)|not determined|maybe|perhaps|might be|could be)\b",
    (
        "can|could|unable|impossible|un|insufficient|not|way|n't|n’t|no |none|depends|indeterminate|tbd|error|"
        "timeout|see |let me|maybe|perhaps|might be"
    ),
)
GIVES_UP = Guarded(
    r"^\W{0,4}(?:error|exception|traceback|timeout)\b|\b(?:i do not|i don't|don't|do not) know\b|\bnot (?:sure|"
    r"enough information)\b|"
    r"\bimpossible to (?:say|tell|know)\b|"
    r"\b(?:cannot|can't|unable to|(?:not|n't) able to|could not) (?:be )?(?:determined?|answer(?:ed)?|tell|say|know|"
    r"solved?|calculated?|computed?|find|found)\b",
    "error|exception|traceback|timeout|know|not |to say|to tell|cannot|can't|unable| able to|could not",
)
PLAN = Guarded(
    r"\b(?:needs?|have|has|want) to (?:know|find|calculate|compute|determine|figure|solve|consider|first|multiply|"
    r"subtract|divide|convert)\b|\b(?:cases|steps|things|possibilities|factors|parts|options) to (?:consider|check|"
    r"do|look at)\b|\bneed (?:one |some )?more\b|\b(?:now|next),? (?:let's|we (?:will|can))\b|"
    r"^\W{0,4}(?:let|suppose|assume|consider|define)\b",
    "need|to |now|next|let|suppose|assume|consider|define",
)
"""What a solution is going to do, not what it found."""
ORDER = re.compile(
    r"^\W{0,4}(?:step \d{1,2}\W{1,3})?(?:now |then |next,? |first,? )?(?:multiply|add|subtract|divide|compute|"
    r"calculate|find|solve|"
    r"identify|determine|sum|convert|simplify|write|set up|list|count|check)\b",
    re.IGNORECASE,
)
"""A step of a plan that tells what to do."""
ASKS = re.compile(
    r"\W{0,4}(?:could|can|would|should|will|do|does|did|is|are|was|were|what|which|why|how|who|have|"
    r"has)\b",
    re.IGNORECASE,
)
HYPOTHETICAL = Guarded(
    r"\bwould (?:be|have|get|make|cost)\b.*\bif\b|\bif (?:there|it|we|he|she|they|you|i)\b.{0,80}\b(?:had|"
    r"were)\b.*\bwould\b|"
    r"\bwith (?:a )?remainder\b",
    "would|remainder",
)
ASIDE = re.compile(
    r"(?:[,;(]\s*(?:(?:which|since|because|as|where|up from|down from|or (?:about|approximately|roughly|"
    r"equivalently))\b|i\.e\.|"
    r"that is,)|\s(?:after|before|by|from|when|while) \w+ing\b|"
    r"\s(?:after|before|when|once|if|because|since)\s(?:you|she|he|we|they|it|i|one|the|all|each|both)\b|"
    r"\s(?:because|since)\s(?=.*[=÷×*/])).*$",
    re.IGNORECASE | re.DOTALL,
)
SINCE = re.compile(r"^\W{0,4}(?:since|because|as)\b[^,.]{1,120},\s(?=.*\d)", re.IGNORECASE | re.DOTALL)
"""The reason at the beginning of a sentence, which states nothing."""
BESIDES = re.compile(
    r"^\W{0,4}(?:after|of|out of|among|having|despite|although|while|instead of|at|in|for|with|by|on|over|within|"
    r"during|"
    r"from|per)\b[^,;]{1,120},\s(?=[^,;]{0,80}\d)(?!.*\d[^,]*,\s[^,]*\d)",
    re.IGNORECASE | re.DOTALL,
)
"""`After checking all 20, 17 are prime`, `At 35 mph for 2 hours, it covers 70 miles`"""
GIVEN = re.compile(
    r"^\W{0,4}(?:if|when|given)\b(?:[^.;?]{1,120}?,\s(?=(?:then\s)?(?:each|he|she|they|it|there|we|you)\b)|"
    r"[^.,;?]{1,120}\s(?=(?:he|she|they|it|there|we|you)\s))"
    r"(?!.*\b(?:if|otherwise|else|or|would)\b)",
    re.IGNORECASE,
)
"""What is given, at the beginning of a sentence: `If 4 friends share 48, each gets 12.`"""
SURE_ENOUGH = re.compile(
    r",?\s\(?(?:but|though|although)\s(?:i['’]m|i am|i|it)\b[^.!?]{0,40}\b(?:not (?:entirely |completely |"
    r"totally |100% |fully )?"
    r"(?:sure|certain)|wrong|mistaken|off)\b.*$",
    re.IGNORECASE | re.DOTALL,
)
"""`but I could be wrong` takes nothing back."""
WHICH_IS = re.compile(
    r",\s(?:which|that) (?:is|equals|gives|makes|comes to|amounts to|can be (?:done|made) in)\s(?:a total of "
    r")?(?P<value>[^\s,;]{1,40}(?:\s[^\W\d_]{1,15})?)\.?$",
    re.IGNORECASE,
)
"""`20% of $150, which is $30`"""
TOTAL_IS = re.compile(
    r"[,;]\s(?:so |and )?(?P<value>[^,;]{1,40}?)\s(?:altogether|in total|in all|overall)\.?$|"
    r"[,;]\s(?:the )?(?:total|sum|answer|result)(?:\s?[:=]|\s(?:is|was)|(?=\s[\d$€£]))\s?(?P<after>[^,;:=]{1,30})$",
    re.IGNORECASE,
)
"""`15 adults and 16 children, 31 altogether`, `Adults: 15, Children: 16, Total: 31`"""
EACH = re.compile(r"\s?[^\W\d_]{0,12}\s?[,;]\s?(?:and |or )?[$€£]?")
OF_SO_MANY = re.compile(r"\d\s(?:in|out of)\s(?:every\s)?\d")
"""`3 out of 10`, `1 in 3`"""
ITEM = re.compile(r"\s{0,8}[-*•–]\s+\S")
TOTALS = re.compile(
    r"\b(?:total|sum|answer|result|therefore|so|altogether|final|overall|remaining|"
    r"left)\b",
    re.IGNORECASE,
)
IN_BRACKETS = re.compile(r"\W{0,4}\([^()]{1,300}\)\W{0,3}")
ORDINAL = re.compile(r"(?:st|nd|rd|th)\b")
LISTED = re.compile(r"\s?[,;]\s?(?:and |or )?[$€£]?\d")
SO = re.compile(
    r"[,;]?(?:所以|因此|よって|だから)|[,;]?\s\(?(?:so|therefore|thus|hence|also|donc|por lo tanto|giving|making|"
    r"leaving|yielding|"
    r"totall?ing|resulting in|"
    r"for a (?:combined |grand |overall |final )?(?:total|sum)(?: of)?|for a combined)\b,?\s",
    re.IGNORECASE,
)
NOT = re.compile(r"\b(?:not|isn't|rather than|instead of|nicht|pas|no es)\s(?:\w+\s){0,1}\W{0,2}$", re.IGNORECASE)
REJECTED = re.compile(
    r"\W{0,3}(?:\s?\w+)?\s(?:is|are|was|were|would be|can be|seems|looks)\s(?:also |clearly |definitely |simply )?"
    r"(?:wrong|incorrect|false|not (?:right|correct|true|possible|the)|impossible|ruled out)\b|"
    r"\W{0,3}\s(?:cannot|can't|can not) be\b",
    re.IGNORECASE,
)
PLACE = re.compile(r"\b(?:step|question|problem|equation|figure|table|example|exercise)\s?$", re.IGNORECASE)
RANGE_BEFORE = re.compile(r"\d(?:\s?[-–—~]\s?|\s?\S{0,3}\sto\s)\W?$")
RANGE_AFTER = re.compile(r"(?:\s?[-–—~]\s?|\s?\S{0,3}\sto\s)\W?\d")
VERB = re.compile(
    r"(?:\b(?:is|are|was|were|equals?|has|have|had|makes?|gives?|gave|leaves?|left with|totals|totall?ed|total "
    r"of|total is|"
    r"yields?|(?:adds?|sums?|comes?|works?|amounts?|totals?) (?:up |out )?to|going|driving|running|travell?ing|"
    r"moving|paying|earning|weighs?|measures?|covers?|travels?|scored?|scores|"
    r"lasts?|lasted|"
    r"produces?|burns?|drinks?|drank|buys?|sells?|carr(?:y|ies)|"
    r"cost|costs|saved?|saves|received?|won|lost|uses?|used|reads?|ran|walked|drove|collected|found|gained|"
    r"earns?|earned|spent|spends?|pays?|paid|"
    r"needs?|takes?|took|gets?|got|becomes?|be|contains?|holds?|reach(?:es)?|remain|sold|made|ate|bought|"
    r"ist|sind|hat|est|sont|(?:il|elle|on) a|es|son|tiene)\b|['’]s\b|[=≈:])"
    r"(?:\s?\\approx)?\W{0,4}(?:(?:us|me|you|him|her|them|a|an|the|total|about|only|exactly|approximately|"
    r"around|just|now|still|"
    r"of|at|in|roughly|equal to|to|thus|therefore|then)\s){0,3}\W{0,4}$",
    re.IGNORECASE,
)
TERM_BEFORE = re.compile(r"(?<![^\W_])[a-zA-Z]\)?\s?[-+*/^·×]\s?\Z")
"""`x + 5` is not 5."""
CLAUSE = re.compile(
    r"\s?\S{0,20}(?:\s\w+){0,5}?\s?(?:[,;—(]|\b(?:since|because|which|as|so|that|per|for|at|in|each|every|"
    r"from|after|by|when|than|with|if|on|of|out of|while|given|to)\b)",
    re.IGNORECASE,
)
END = re.compile(r"[.!?]\s+(?=\S)|[。！？]")
NO_END = re.compile(r"(?:i\.e|e\.g|approx|\bca|\bvs|\b[DMS][rst]|\bMrs|\b[NR][os])\.\Z")
OR = re.compile(r"\b(?:or|oder|ou|или)\b|或", re.IGNORECASE)
CHOSEN = re.compile(r";\s(?:but |and )?(?=(?:since|because|as|so|thus|hence|therefore|only)\b[^;]*=[^;=]*$)")
"""`x = 2 or x = -2; since x > 0, x = 2`"""
RESULT_SIGNS = ("=", "≈", "\\approx", "→", "⟶", "⇒", "⟹", "->")
"""What stands before a result."""
EQUATIONS = Guarded(
    r"(?<![\w)])[^\W\d_]\w{0,20}\s?=\s?[^=,;]{1,40}(?:[,;]|"
    r"\band\b)\s*(?:and\s)?(?:the\s)?[^\W\d_]\w{0,20}\s?=\s?[^=]{1,40}$",
    "=",
    re.NOFLAG,
)
"""`width = 4, length = 9` are two quantities."""
COMPOUND = Guarded(
    r"\d\s?(?:hours?|hrs?|h|minutes?|mins?|days?|weeks?|months?|years?|feet|foot|ft|yards?|miles?|pounds?|lbs?|"
    r"dollars?|"
    r"euros?|kilomet(?:er|re)s?|km|met(?:er|re)s?|m|kg|kilograms?|gallons?|degrees?)\b(?:,?\s(?:and\s)?|,\s?)"
    r"(?=(\d[\d.,]{0,9})\s?(?:minutes?|mins?|seconds?|secs?|s|hours?|hrs?|days?|weeks?|months?|inch(?:es)?|in|feet|ft|"
    r"ounces?|oz|cents?|met(?:er|re)s?|m|centimet(?:er|re)s?|cm|g|grams?|pints?|quarts?)\b)",
    " h|h|min|day|week|month|year|f|yard|mile|pound|lb|dollar|euro|k|m|gallon|degree",
)
"""`2 hours and 30 minutes` is one quantity, neither of its numbers."""
THAT_IS = re.compile(r"[,(]\s?(?:i\.e\.,?|that is,?|or|which is)\s(?P<value>\d[^,;()]{0,30})\)?$")
"""`1 hour and 30 minutes, i.e. 90 minutes`"""
AND_CLAUSE = re.compile(r"(?:\band(?:\s[^\W\d_]{2,12})?|;|,)\s\W?$")
COMPUTES = re.compile(r"\d\s?(?:[-+*/×x÷·]|\\times|times|plus|minus|divided by)\s?\d")
THEN = re.compile(
    r"\s?(?:after|then|so|thus|hence|therefore|finally|that|this|leaving|in total|altogether|together)\b", re.IGNORECASE
)
"""How a last clause begins that goes on to a result."""
COUNT_OF = re.compile(r"(?P<count>\d{1,9}) out of (?:the |all )?\d{1,9} (?!\d)[^\W\d_]{3,}")
CHANCE = re.compile(
    r"\b(?:probabilit\w+|chances?|odds|likelihood|ratio|fraction|proportion|rate|average)\b", re.IGNORECASE
)
THERE_ARE = re.compile(
    r"\b(?:there (?:are|is)|has|have|exactly|total of|gives?|are) (?:exactly |only |a total of "
    r")?(?P<count>[^\W_]{1,9})\b[^\d:]*"
    r"(?:\b(?:below|under|up to|from|between|than|and|to) \d+[^\d:]*){0,2}$",
    re.IGNORECASE,
)
"""`There are three such integers: 2, 4 and 6`"""
_INFINITIVE = (
    r"(?<!has )(?<!have )(?<!had )(?<!need )(?<!needs )(?<!wants )(?<!able )(?<!going )(?<!equal )\bto "
    r"(?!be\b)[a-z]{3,}"
)
AIM = re.compile(rf"{_INFINITIVE}\s(?:(?:a|an|the|about|only|just|all|exactly)\s)?\W{{0,2}}$", re.IGNORECASE)
"""`to travel 120 miles`, which is an aim; not `he has to pay 5`."""
GOVERNED = re.compile(
    rf"(?:\b(?:at|in|with|of|from|over|within|by|after|per|on|before|than|between|among|during|every|under)|"
    rf"{_INFINITIVE})\s"
    r"(?:(?:a|an|the|about|only|just|all|exactly)\s)?\W{0,2}$",
    re.IGNORECASE,
)
"""What stands before a number that only tells of circumstances."""
NAME_BEFORE = re.compile(r"(?<![^\W_])(?!It |He |She |We |They |So |Only |The |There )[A-Z][a-z]+ $")
"""`Apollo 11` is a name."""
OPERATES = re.compile(
    r"\b(?:multiply|multiplied|divide|divided|subtract|subtracted|add|added|sum|convert)\b", re.IGNORECASE
)
MONTH = re.compile(
    r"\b(?:January|February|March|April|May|June|July|August|September|October|November|December) \d|"
    r"\d (?:January|February|March|April|May|June|July|August|September|October|November|December)\b"
)
FOR_SO_LONG = re.compile(r"\bfor (?:the |only |about )?$", re.IGNORECASE)
TIME = re.compile(r"\s?(?:hours?|minutes?|seconds?|days?|weeks?|months?|years?|people|guests|persons)\b", re.IGNORECASE)
ROUNDS = re.compile(
    r"\bround\w*(?: (?:up|down|off))?(?: to|:| gives| it to)?\s(?P<value>[-$€£]?\d[\d.,]*(?:\s[^\W\d_]+)?)\W*$",
    re.IGNORECASE,
)
"""`12.4, which rounds up to 13`"""
FACTORS = re.compile(
    r"\W{0,4}(?P<value>\d[\d,.]{0,20})\s?=\s?\d[\d\s×x*·+.,-]{1,60}\s(?:is|are|was|works|divides)\b", re.IGNORECASE
)
NO_VERB = re.compile(
    r"\b(?:of|in|at|for|with|by|from|than|not|isn't|to|after|before|within|over|under|between|every|per|on|about|"
    r"like|the|"
    r"first|second|[A-Z]\w+|step|part|number|question)\W*$"
)
"""What stands before a number in words that is no value of the sentence."""
CONSUMES = re.compile(
    r"\b(?:ate|eats|gave|gives|spent|spends|lost|loses|used|uses|sold|sells|removed|took|takes|donated|threw|broke|"
    r"shared|drank)\b"
    r"[^.;]*\b(?:and|so|,)\s(?:now )?(?:he |she |it |they |there )?(?:had|has|have|is|are|was|were) (?:now |only |"
    r"just |left with )?"
    r"(?P<value>[-$€£]?\d[\d.,]*(?:\s[^\W\d_]+){0,2}?)(?: left(?: over)?| remaining)?$",
    re.IGNORECASE,
)
"""`She ate 5 and had 3 left`"""
SO_MANY_OF = re.compile(
    r"^(?:exactly |only |just )?(?P<count>[a-z]{3,9}) of (?:the|them|these|those|his|her|their)\b", re.IGNORECASE
)
RISES = re.compile(
    r"\b(?:rose|rises|increased?s?|grew|grows|fell|falls|dropped|decreased?s?|went|climbed|changed)\b.*\bfrom "
    r"[^,;]{1,30} to "
    r"(?P<value>[-$€£]?\d[\d.,]*(?:\s?%|\s[^\W\d_]+)?)$",
    re.IGNORECASE,
)
"""`Sales rose from 300 to 450`"""
WORDS = re.compile(r"[^\W\d_]{2,}")
OR_ELSE = re.compile(r",?\s(?:or|which is|that is|i\.e\.)\W{0,3}\s?\(?$|\s\($|\s?,\s?$")
BETWEEN_THEM = re.compile(
    r"\b(?:between|among) (?:(?:them|us|the (?:two|three|four))\b|[^,.;]{1,40}? and [^,.;]{1,30}? (?=(?:is|are|was|"
    r"equals)\b))",
    re.IGNORECASE,
)
MORE_THAN = re.compile(
    r"\b(?:is|are|was|has|have|had|earns?|costs?)\s(?:exactly |only )?(?P<value>[-$€£]?\d[\d.,]*)(?:\s[\w-]+){0,3}?\s"
    r"(?:more|less|fewer|\w{2,}er)\s(?:[\w-]+\s){0,2}?than\s[^,;]{1,60}$",
    re.IGNORECASE,
)
"""`40 is 15 more than 25`"""
SO_MANY = re.compile(
    r"[,;]\s(?:so|therefore|thus|hence)\s(?:(?:it|that|this)(?:['’]s| is)|the answer is)?\s?(?P<value>[^\s,;]{1,20})$",
    re.IGNORECASE,
)
IS_LEFT = re.compile(r"\s?(?:\w+\s){0,2}(?:is|are|was|were|remain|remains|left)\b", re.IGNORECASE)
"""`each gets 4 and 2 are left over` states two numbers."""
PARENTHESIS = re.compile(r"\([^()]{0,200}\)")
WORD_NUMBER = Guarded(
    r"\b(?:zero|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\w+teen|(?:twen|thir|for|fif|"
    r"six|seven|eigh|nine)ty|(?:one|an?) (?:half|third|quarter|fifth))\b",
    "zero|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|teen|ty|half|third|quarter|fifth",
)
AFTER_ONE = ("half", "third", "quarter", "fourth", "fifth", "hundred", "thousand", "million", "billion")
CHECK = re.compile(
    r"\n[ \t*_#>(-]{0,6}(?:please )?(?:note|notes|caveat|disclaimer|remark|n\.b\.)\b[^\n]*\Z|"
    r"\n[ \t*_#>(-]{0,6}(?:(?:let(?:'s| us| me)|we can|to) )?(?:double[- ])?(?:check|verif(?:y|ication))(?:ing)?\b"
    r"(?![^\n]{0,200}\n[^\n]*\b(?:so|therefore|thus|hence|answer)\b)",
    re.IGNORECASE,
)
"""A check or a note at the end, whose numbers are no conclusion."""
UNSOLVED = re.compile(r"(?<![\w.])\d{1,9}(?:[xyzn]\b|[a-z]\s?[-+*]\s?\d)[^=]{0,60}=")
"""`2x + 5 = 25` does not say what x is."""
