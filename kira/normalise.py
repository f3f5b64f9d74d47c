"""One spelling for many disguises: the text on which rules and classifier look.

Who hides a word, or types in panic, must be read all the same: look-alike letters, marks without width, numbers for
letters, spaces or dots between letters. Nothing here is shown to anyone.
"""

import re
import unicodedata

# Letters that look like Latin ones, as fonts draw them; mathematical and full-width letters fall to NFKC before.
_LOOK_ALIKES = {
    "a": "аαɑɐӑ", "b": "вβʙьƄ", "c": "сϲᴄƈ", "d": "ԁδᴅɗđð", "e": "еεɛəᴇєҽ", "f": "ꜰғƒ", "g": "ɡɢԍց", "h": "һнʜħհ",
    "i": "іιıɩɪӏ", "j": "јϳᴊȷ", "k": "кκᴋƙ", "l": "ʟłⅼ", "m": "мμᴍ", "n": "пηɴɲոņ", "o": "оοσᴏøɔօθ", "p": "рρᴘþ",
    "q": "ԛզ", "r": "гʀɾѓ", "s": "ѕꜱʂ", "t": "тτᴛŧ", "u": "υᴜսц", "v": "ѵνᴠ", "w": "ԝωᴡшա", "x": "хχ", "y": "уγʏү",
    "z": "ᴢʐζ",
}
_TO_LATIN = str.maketrans({alike: letter for letter, alikes in _LOOK_ALIKES.items() for alike in alikes})
_FOREIGN = "".join(_LOOK_ALIKES.values())
_DISGUISED = re.compile(f"[a-z{_FOREIGN}0-9]*[{_FOREIGN}][a-z{_FOREIGN}0-9]*")

_LEET = str.maketrans("013457@$!|€", "oieastasile")
_UNIT = ("mg mcg ml cl kg cm mm km hr hrs hour min mins sec week wk month mth mo day year yr yo am pm th st nd rd tab "
         "pill cap time degree of weeks").split()
_COUNTED = re.compile(rf"\d+(?:[.,]\d+)?(?:{'|'.join(_UNIT)})s?(?:old)?")
_MIXED = re.compile(r"[a-z0-9@$!|€]*[a-z][a-z0-9@$!|€]*")

# Marks laid over letters for effect, and what fonts need but readers do not; vowel signs of Indic scripts stay.
_MARKS = re.compile("[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe00-\ufe0f\ufe20-\ufe2f"
                    "\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06ed\u0640\u093c\u115f\u1160\u2800\u3164\uffa0]")
_ONE_LETTER = str.maketrans({"\u0629": "\u0647", "\u0649": "\u064a", "\u0671": "\u0627", "\u0901": "\u0902",
                             "\u06a9": "\u0643", "\u06cc": "\u064a", "’": "'", "‘": "'", "ʼ": "'", "`": "'",
                             "´": "'", "“": '"', "”": '"', "…": ".", "\u2028": "\n", "\u2029": "\n"})
_LETTER = r"[^\W\d_]"
# One sign between letters, the same all along; two or more signs part the words.
_SPELLED = re.compile(r"(?<![\w'])(?:[^\W_]|')(?:([ .\-_*·/,|])(?:[^\W_]|'))(?:\1(?:[^\W_]|'))+(?![\w'])")
_PAIR = re.compile(rf"(?<![\w'])({_LETTER})[ .\-_*·/,|]({_LETTER})(?![\w'])")


def normalise(text: str) -> str:
    """`text` in lower case, without accents (Latin), harakat (Arabic) and disguises; line ends stay.

    Never raises on a string, lone surrogates included. Twice is the same as once.
    """
    while (folded := _once(text)) != text:
        text = folded
    return text


def _once(text: str) -> str:
    text = unicodedata.normalize("NFKC", "".join(map(_kept, text.translate(_ONE_LETTER)))).casefold()
    text = unicodedata.normalize("NFC", _MARKS.sub("", unicodedata.normalize("NFD", text)))
    text = _DISGUISED.sub(_latin, text)
    text = _spelled_out(text)
    text = _MIXED.sub(_without_numbers, text)
    return re.sub(rf"({_LETTER})\1\1+", r"\1\1", text)


def _kept(char: str) -> str:
    code = ord(char)
    for first, last in ((0x1F1E6, 0x1F1FF), (0x1F150, 0x1F169), (0x1F170, 0x1F189)):  # letters drawn as pictures
        if first <= code <= last:
            return chr(ord("a") + code - first)
    category = unicodedata.category(char)
    if category in ("Cf", "Cs", "Co", "Cn"):
        return ""
    return ("\n" if char in "\n\r\v\f\x85" else " " if char == "\t" else "") if category == "Cc" else char


def _latin(match: re.Match) -> str:
    """A word in Latin and look-alike letters, or in look-alikes alone, is meant to be read as Latin."""
    return match[0].translate(_TO_LATIN)


def _spelled_out(text: str) -> str:
    """Joins "c h e s t" and "c.h.e.s.t"; two letters alone count only beside a longer word spelled out."""
    joined = _SPELLED.sub(_joined, text)
    return _PAIR.sub(r"\1\2", joined) if joined != text else text


def _joined(match: re.Match) -> str:
    letters = match[0][::2]
    return letters if sum(map(str.isalpha, letters)) > 2 else match[0]


def _without_numbers(match: re.Match) -> str:
    word = match[0].rstrip("!|")
    tail = match[0][len(word):]
    if word.isalpha() or _COUNTED.fullmatch(word):
        return match[0]
    if re.fullmatch(r"[a-z]+\d\d+|[a-z]{1,3}\d|\d\d+[a-z]+|\d[a-z]{1,2}", word):  # b12, covid19, 50something, 5k
        return match[0]
    return word.translate(_LEET) + tail
