"""Texts as people in a hurry, children and beginners type them, so that a classifier meets such spellings too."""

import random
import re

LETTERS = "abcdefghijklmnopqrstuvwxyz"
# English, Spanish, French, German, Portuguese and Hindi in Latin letters, as in chats.
WHOLE_WORDS = {
    "you": "u", "your": "ur yr", "are": "r", "to": "2", "too": "2", "for": "4", "please": "pls plz",
    "because": "cos cuz bcoz", "what": "wat wot", "with": "wiv wid wit", "before": "b4",
    "tonight": "2nite tonite", "though": "tho", "through": "thru", "don't": "dont", "can't": "cant carnt",
    "my": "mi ma", "have": "hav ave", "is": "iz", "the": "da teh th", "that": "dat tht", "this": "dis ths",
    "and": "n an nd", "going": "goin gona", "want": "wana wnt wan", "was": "woz ws", "said": "sed",
    "they": "dey thay", "i'm": "im am", "i've": "iv ive", "it's": "its", "people": "ppl peple",
    "know": "kno no", "they're": "there thier", "tomorrow": "tmrw 2moro", "que": "q k ke", "porque": "pq xq",
    "por": "x", "est": "e", "c'est": "c ce", "pas": "pa", "nicht": "nich net", "eine": "ne", "nao": "n",
    "não": "n nao", "voce": "vc", "você": "vc", "main": "mai mein mn", "nahi": "nhi nai ni", "hai": "h he",
    "kya": "kia ky", "raha": "rha", "rahi": "rhi", "mujhe": "muje mje", "bahut": "bht bhot"}
PARTS = [(re.compile(pattern), by) for pattern, by in (
    ("ing$", "in"), ("ight", "ite"), ("igh", "i"), ("ph", "f"), ("^wh", "w"), ("ck", "k"), ("th", "f"), ("th", "d"),
    ("ou", "u"), ("oo", "u"), (r"([bcdfglmnprst])\1", r"\1"), ("ea", "ee"), ("ea", "e"), ("ee", "ea"), ("ai", "a"),
    ("tion", "shun"), ("(?<=[a-z]{2})e$", ""), ("c(?=[eiy])", "s"), ("c(?=[aou])", "k"), ("gh", ""), ("^kn", "n"),
    ("^wr", "r"), ("y$", "i"), ("y$", "ee"), ("er$", "a"), ("er$", "r"), ("le$", "el"), ("ed$", "d"),
    ("(?<=[a-z])[aeiou](?=[a-z])", ""), ("qu", "k"), ("ch", "x"), ("sch", "sh"), ("^h", ""), ("v", "b"), ("z", "s"),
    ("ll", "y"), ("eau|aux?", "o"), ("sh", "s"), ("([bdkg])h", r"\1"), ("aa", "a"), ("ei", "i"), ("ie", "ei"),
    ("s$", "z"))]


def misspelt(text: str, rng: random.Random) -> str:
    """`text` with words as heard, with slips of the finger, or with both."""
    how = rng.random()
    if how < 0.6:
        text = as_heard(text, rng, rng.choice((0.2, 0.4, 0.6)))
    return (text if how < 0.4 else slips(text, rng)) or "."


def as_heard(text: str, rng: random.Random, rate: float) -> str:
    """`text` with a share `rate` of its words shortened or spelt by ear."""
    made = []
    for word in text.split():
        heard = word.lower()
        if rng.random() >= rate:
            heard = word
        elif heard in WHOLE_WORDS:
            heard = rng.choice(WHOLE_WORDS[heard].split())
        else:
            for _ in range(rng.choice((1, 1, 2))):
                if fits := [part for part in PARTS if part[0].search(heard)]:
                    pattern, by = rng.choice(fits)
                    heard = pattern.sub(by, heard, count=1)
        made.append(heard or word)
    return " ".join(made)


def slips(text: str, rng: random.Random) -> str:
    """`text` with letters lost, doubled, exchanged or swapped, or without its marks."""
    if rng.random() < 0.3:
        return "".join(c for c in text if c.isalnum() or c.isspace())
    letters = list(text)
    for _ in range(max(1, int(len(letters) * rng.choice((0.01, 0.03, 0.05))))):
        i = rng.randrange(len(letters))
        letters[i] = rng.choice(("", letters[i] * 2, rng.choice(LETTERS), letters[i - 1] if i else ""))
        if i + 1 < len(letters) and rng.random() < 0.3:
            letters[i], letters[i + 1] = letters[i + 1], letters[i]
    return "".join(letters)
