"""Numbers and doses in an answer that its reference does not contain: a cheap sign of made-up facts.

Digits only ("two tablets" is not seen), and a number may be wrong although the reference has it elsewhere.
"""

import re

UNITS = {  # what is written -> what is compared
    "%": "%", "percent": "%", "per cent": "%",
    "ng": "ng", "nanogram": "ng", "nanograms": "ng",
    "mcg": "ug", "ug": "ug", "µg": "ug", "μg": "ug", "microgram": "ug", "micrograms": "ug",
    "mg": "mg", "milligram": "mg", "milligrams": "mg", "g": "g", "gram": "g", "grams": "g",
    "kg": "kg", "kilogram": "kg", "kilograms": "kg", "lb": "lb", "lbs": "lb", "pound": "lb", "pounds": "lb",
    "ml": "ml", "milliliter": "ml", "milliliters": "ml", "millilitre": "ml", "millilitres": "ml",
    "l": "l", "liter": "l", "liters": "l", "litre": "l", "litres": "l",
    "mg/dl": "mg/dl", "mmol/l": "mmol/l", "g/dl": "g/dl", "mg/kg": "mg/kg", "mg/ml": "mg/ml", "mmhg": "mmhg",
    "iu": "iu", "units": "iu", "unit": "iu", "kcal": "kcal", "calories": "kcal",
    "mm": "mm", "millimeter": "mm", "millimeters": "mm", "cm": "cm", "centimeter": "cm", "centimeters": "cm",
    "m": "m", "meter": "m", "meters": "m", "inch": "inch", "inches": "inch", "feet": "feet",
    "°c": "c", "degrees celsius": "c", "°f": "f", "degrees fahrenheit": "f",
    "second": "s", "seconds": "s", "minute": "min", "minutes": "min", "hour": "h", "hours": "h",
    "day": "d", "days": "d", "week": "week", "weeks": "week", "month": "month", "months": "month",
    "year": "year", "years": "year",
}
_UNIT = "|".join(sorted(map(re.escape, UNITS), key=len, reverse=True))
# Not inside a word, name or longer number (B12, 22q11, omega-3, 11-deoxycortisol, 1.5.2), a unit only where it ends.
_NUMBER = re.compile(rf"(?<![\w.,])(?<![a-z]-)(\d+(?:,\d{{3}})*(?:\.\d+)?)"
                     rf"(?:[\s-]?({_UNIT})(?!\w)|(?!\w|[.,]\d|-[a-z]))")
_LIST_MARK = re.compile(r"^\s*\d+[.)]\s", re.M)


def numbers(text: str) -> set[tuple[float, str]]:
    """(value, unit) of each number in `text`, unit "" where none follows; marks of a numbered list are none."""
    found = _NUMBER.findall(_LIST_MARK.sub(" ", text.lower()))
    return {(float(value.replace(",", "")), UNITS.get(unit, "")) for value, unit in found}


def unsupported_numbers(answer: str, reference: str) -> list[tuple[float, str]]:
    """The numbers of the answer that the reference lacks; one with a unit must be there with that unit."""
    known = numbers(reference)
    values = {value for value, _ in known}
    return sorted((value, unit) for value, unit in numbers(answer)
                  if ((value, unit) not in known if unit else value not in values))
