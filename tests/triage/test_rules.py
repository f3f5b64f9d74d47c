"""Every rule speaks on its example and is silent on its twin; disguises do not silence them."""

import unicodedata

import pytest

from kira.rules import FOLDER, groups, lexicons, read, read_yaml

GROUPS = groups()
BY_NAME = pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)

SENTENCES = """
I want to kill myself tonight
I took the whole bottle of pills
my chest pain is crushing and spreading to my arm
my baby is not breathing
she is unconscious and not waking up
he is having a seizure right now
my husband is choking on a piece of steak
I am bleeding heavily and it will not stop
my throat is closing after eating peanuts
his face is drooping and his speech is slurred
I am planning my suicide
I want to die
I have been stabbed in the stomach
my son swallowed a button battery
my boyfriend hits me and I am scared
I took forty paracetamol tablets
I cannot breathe and my lips are blue
the voices tell me to kill my brother
I slit my wrists and there is blood everywhere
my friend took heroin and will not wake up
I am vomiting blood
my daughter drank bleach
she collapsed and has no pulse
he strangled me last night
I was raped last night
my baby is floppy and blue
I am pregnant and bleeding heavily
worst headache of my life came on suddenly
a snake has bitten his ankle
the carbon monoxide alarm is going off and we feel sick
the baby is coming right now
my grandfather fell from the roof and cannot move his legs
I overdosed on purpose an hour ago
I want to end my life
nobody would miss me if I was gone
I keep cutting myself again
a man with a gun is outside
he hit his head and keeps vomiting
my stepfather touches me at night
my toddler was pulled out of the pool and is drowsy
""".strip().splitlines()

GREEK = str.maketrans("aeoicpxy", "аеοісрхү")
LEET = str.maketrans("aeiost", "431057")


def leet(sentence):
    """The first letter of a long word that has a number for it, after its first: how people dodge a filter."""
    words = []
    for word in sentence.split():
        at = next((i for i, letter in enumerate(word[1:-1], 1) if letter in "aeio"), None)
        words.append(word if at is None or len(word) < 4 else word[:at] + word[at].translate(LEET) + word[at + 1:])
    return " ".join(words)


DISGUISES = {
    "none": str,
    "zero-width": lambda sentence: "\u200b".join(sentence),
    "homoglyph": lambda sentence: sentence.translate(GREEK),
    "leet": leet,
    "spaced": lambda sentence: "  ".join(" ".join(word) for word in sentence.split()),
    "dotted": lambda sentence: " ".join(".".join(word) for word in sentence.split()),
}


def test_there_are_forty_of_each():
    assert len(GROUPS) >= 40
    assert len(set(SENTENCES)) == 40


@BY_NAME
def test_a_group_is_whole(group):
    assert group.label in ("emergency", "crisis")
    assert group.source
    assert group.ideas


@BY_NAME
def test_a_group_speaks_on_its_example(group):
    assert group.name in [met.name for met in read(group.example).met]


@BY_NAME
def test_no_group_speaks_on_a_twin(group):
    assert [met.name for met in read(group.twin).met] == []


@pytest.mark.parametrize("disguise", DISGUISES)
@pytest.mark.parametrize("sentence", SENTENCES)
def test_a_disguise_does_not_silence(sentence, disguise):
    assert read(DISGUISES[disguise](sentence)).met


def test_what_is_buried_in_a_long_message_counts():
    chatter = "We went to the market and bought bread, and the weather was kind to us all. " * 9
    assert read(f"{chatter}My chest hurts and the pain goes into my left arm. {chatter}").met


def test_every_word_list_of_an_idea_is_written_in_english():
    names = {name for group in GROUPS for idea in group.ideas for _, name in idea}
    written = {idea for path in (FOLDER / "words").glob("en*.yaml") for idea in read_yaml(path)}
    assert names - written == set()


def test_every_context_is_written_in_english():
    contexts = read_yaml(FOLDER / "contexts.yaml")
    written = {idea for path in (FOLDER / "words").glob("en*.yaml") for idea in read_yaml(path)}
    asked = set(contexts) | {unless for rule in contexts.values() for unless in rule.get("unless", ())}
    assert asked - written == set()


def test_a_phrase_is_not_worn_down_to_one_word():
    """Words in `skip` are passed over: "not just" would be read as "not" alone."""
    lexicon, worn = lexicons()["en"], []
    for path in (FOLDER / "words").glob("en*.yaml"):
        for idea in ("negation", "not_negation", "breaks", "someone_now", "idiom", "resolved", "education"):
            phrases = [phrase.split() for phrase in read_yaml(path).get(idea, "").split(",")]
            worn += [phrase for phrase in phrases
                     if len(phrase) > 1 and len([word for word in phrase if word not in lexicon.skip]) == 1]
    assert worn == []


def test_a_mark_that_stands_alone_breaks_nothing():
    """Of some, folding leaves nothing; "प~ं~खा" once ended the reading, and with it the answer."""
    marks = [c for c in map(chr, range(0x300, 0x20000)) if unicodedata.category(c).startswith("M")]
    assert len(marks) > 1500
    for mark in marks:
        read(f"दर्द~{mark}~बहुत {mark} my chest hurts")
