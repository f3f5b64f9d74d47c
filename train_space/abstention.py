"""Does an answer say that it does not know, cannot help, or that there is no such thing? A fixed rule on its text.

It reads what is written, in English: no model judges. It misses polite evasions that say none of this, and counts an
answer that begins so and then answers all the same.
"""

import re

# Only in the first person: "it is not known what causes it" and "if you are not sure, ask" are answers.
I_DO_NOT = ("know", "have information", "have any information", "have enough information", "have access",
            "have knowledge", "have any knowledge", "recognize", "recognise", "understand the question")
I_AM_NOT = ("sure", "certain", "aware of", "familiar with", "able to", "a doctor", "a lawyer", "qualified to")
I_CANNOT = ("help", "assist", "answer", "provide", "give", "offer", "advise", "diagnose", "find", "confirm", "verify",
            "say", "tell", "comment", "recommend", "prescribe", "predict", "determine", "do that", "access")
I_HAVE_NO = ("information", "knowledge", "record", "idea", "data", "access")
OF_MINE = ("beyond my knowledge", "outside my knowledge", "beyond my scope", "outside my scope", "outside my expertise",
           "outside of my expertise", "beyond my expertise", "i have never heard of", "i can only answer",
           "i can only help", "i could not find", "i couldn't find")
# What is said not to exist must be the thing asked about: "there is no cure" is an answer.
THINGS = ("thing", "term", "word", "disease", "condition", "disorder", "syndrome", "illness", "medicine", "medication",
          "drug", "treatment", "procedure", "test", "organ", "gene", "vitamin", "virus", "concept", "person")
KINDS = ("real", "recognized", "recognised", "known", "established", "actual", "valid", "medical", "standard",
         "widely", "commonly", "officially", "scientifically", "medically")
UNREAL = ("made-up", "made up", "fictional", "fictitious", "nonexistent", "non-existent")


def _any(*words: str) -> str:
    return "(?:" + "|".join(map(re.escape, words)) + ")"


_RULE = re.compile("|".join(rf"\b{pattern}\b" for pattern in (
    rf"i (?:do not|don't) (?:really |currently |actually )?{_any(*I_DO_NOT)}",
    rf"(?:i am|i'm) (?:really |currently |actually )?(?:not|unable to) (?:really |entirely |quite )?"
    rf"{_any(*I_AM_NOT, *I_CANNOT)}",
    rf"i (?:cannot|can not|can't|could not|couldn't|won't|will not) {_any(*I_CANNOT)}",
    rf"i have no {_any(*I_HAVE_NO)}",
    _any(*OF_MINE),
    rf"no such {_any(*THINGS)}",
    rf"there is no (?:{_any(*KINDS)} )*{_any(*THINGS)} (?:called|named|known as|by that name|with that name)",
    rf"(?:is|are|does) not (?:appear to be |seem to be )?(?:an? )?(?:{_any(*KINDS)} )+(?:\w+ )?{_any(*THINGS)}",
    rf"(?:is|are|isn't|be) (?:an? )?{_any(*UNREAL)}",
    rf"(?:this|that|the) {_any(*THINGS)} does(?: not|n't) (?:actually )?exist",
)))


def abstains(answer: str) -> bool:
    """The answer declines, says that it does not know, or that what was asked about does not exist."""
    return bool(_RULE.search(" ".join(answer.lower().replace("’", "'").split())))
