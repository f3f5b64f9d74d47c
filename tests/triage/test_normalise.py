"""One spelling for many disguises, whatever the string."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kira.normalise import normalise

ANY = st.text(st.characters(exclude_categories=()))  # lone surrogates too
NEAR = st.text(st.sampled_from("aаbcе hiіkl1l0oоps $5@!|*.-_·/,'’\u200b\u0301\ud800\n\t7xyz９𝐜Ⓐ🇦ßİıﬁ"))


@given(ANY | NEAR)
def test_twice_is_the_same_as_once(text):
    once = normalise(text)
    assert normalise(once) == once


@given(NEAR)
def test_no_capital_and_no_mark_without_width_is_left(text):
    once = normalise(text)
    assert once == once.casefold()
    assert not set(once) & set("\u200b\u0301\ud800\t")


@pytest.mark.parametrize(("typed", "read"), [
    ("ＣＨＥＳＴ pain", "chest pain"), ("сhеst", "chest"), ("c h e s t  p a i n", "chest pain"),
    ("s.u.i.c.i.d.e", "suicide"), ("5tr0ke", "stroke"), ("k1ll", "kill"), ("chest\u200b pain", "chest pain"),
    ("helppppp", "helpp"), ("café", "cafe"), ("𝓈𝓉𝓇𝑜𝓀𝑒", "stroke"),
])
def test_disguises(typed, read):
    assert " ".join(normalise(typed).split()) == read


@pytest.mark.parametrize("text", ["b12", "covid19", "38.5", "500mg", "a 5k run", "i am 30", "हिन्दी", "胸痛"])
def test_what_is_no_disguise_stays(text):
    assert normalise(text) == text
