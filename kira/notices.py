"""The fixed words that a person in danger reads first, in their language, with numbers to call.

Texts and numbers are data (kira/data/triage/notices.yaml, numbers.yaml): nothing in them is generated.
"""

from functools import lru_cache

from kira.rules import FOLDER, read_yaml

SEPARATOR = " · "


@lru_cache(maxsize=1)
def _texts() -> dict[str, dict]:
    return read_yaml(FOLDER / "notices.yaml")


@lru_cache(maxsize=1)
def _numbers() -> dict[str, dict[str, str]]:
    return read_yaml(FOLDER / "numbers.yaml")


def languages() -> list[str]:
    """The languages in which there are notices, as BCP 47 tags."""
    return list(_texts())


def notice_text(label: str, lang: str, crisis_line: bool = False) -> str:
    """The notice for `label` (emergency or crisis) in `lang`, as paragraphs of plain text.

    `crisis_line`: an emergency that may have been meant names crisis lines too.
    """
    text = _texts()[lang]
    emergency = f"{text['call']} {_named(text, 'emergency')}{SEPARATOR}{text['elsewhere']}"
    talk = [f"{text['talk']} {_named(text, 'crisis')}{SEPARATOR}{text['elsewhere_talk']}".replace(f" {SEPARATOR}", " ")]
    if label == "crisis":
        parts = [text["crisis"], *talk, emergency]
    else:
        parts = [text["emergency"], emergency, *([text["beside"], *talk] if crisis_line else [])]
    return "\n\n".join([*parts, text["program"]])


def _named(text: dict, kind: str) -> str:
    """Numbers with the regions where they hold: "911 (US, Canada) · 000 (Australia)"."""
    regions: dict[str, list[str]] = {}
    for code, name in text["regions"].items():
        if number := _numbers()[code].get(kind):
            regions.setdefault(number, []).append(name)
    return SEPARATOR.join(f"{number}: {', '.join(names)}" for number, names in regions.items())
