"""Texts in company: with a question about a term, or another harmless text, before or behind them.

Whoever comes to a page that explains terms tells something and asks "What is SVT?". Of 45 such dangers, written after
the first classifiers were trained, 22 fired; without the question 39 did: "what is" had stood in harmless texts alone.
So both classifiers meet texts of every label in company, whose label is that of the text. Of 65 such dangers by another
author, learnt from by nothing, all fire since then, and of the 55 harmless texts beside them none.
"""

import random
from collections import defaultdict

from kira.classifier import words_of

SHORT, MOST_WORDS = 12, 40  # words of a harmless text that keeps company, and of one that gets it
TERMS = ("angina aneurysm anaemia anaphylaxis aorta apnoea arrhythmia ascites asthma ataxia biopsy bradycardia cannula "
         "carotid catheter codeine concussion copd ct delirium dialysis diazepam dysphagia dyspnoea ecg eclampsia "
         "ectopic eczema embolism epilepsy ferritin fibrillation fracture gaslighting gastritis glaucoma glucose gout "
         "haemoglobin hepatitis hernia hypertension hypoxia ibuprofen insulin ischaemia jaundice ketones lithium lupus "
         "meningitis metformin migraine morphine mri naloxone nausea neuropathy neutropenia oedema paracetamol "
         "placenta platelets pneumonia potassium psychosis rabies retina sciatica sepsis serotonin sertraline spo2 "
         "stent stroke svt syncope tachycardia tetanus thrombosis tia tourniquet ulcer vertigo warfarin").split()
QUESTIONS = {  # and, where it is not written in Latin letters, words for "{}"
    "en": ("what is {}?|what's {}|whats {}|what does {} mean?|meaning of {}?|define {}|explain {} please|what are the "
           "signs of {}?|how do you spell {}?|what causes {}|can you tell me about {}?|anyway, what is {} used for?|"
           "how long does {} last|what does {} do?|difference between {} and {}?|what exactly is {}", ""),
    "es": ("¿qué es {}?|que significa {}|¿para qué sirve {}?|explícame {}|definición de {}|qué diferencia hay entre {} "
           "y {}", ""),
    "fr": ("c'est quoi {} ?|que veut dire {}|qu'est-ce que {}|définition de {} svp|à quoi sert {} ?|différence entre "
           "{} et {}", ""),
    "de": ("was ist {}?|was bedeutet {}|was heißt {} eigentlich?|erklär mir {} bitte|wofür ist {}|unterschied zwischen "
           "{} und {}?", ""),
    "pt": ("o que é {}?|o que significa {}|pra que serve {}?|me explica {}|definição de {}|qual a diferença entre {} e "
           "{}", ""),
    "hi": ("{} क्या है?|{} का मतलब क्या होता है|{} किसे कहते हैं|{} के बारे में बताइए|{} और {} में क्या अंतर है?",
           "एनीमिया मिर्गी दमा थायराइड मधुमेह स्ट्रोक इंसुलिन पीलिया एलर्जी माइग्रेन रक्तचाप हीमोग्लोबिन"),
    "hi-Latn": ("{} kya hota hai?|{} ka matlab kya hai|{} kise kehte hai|{} ke bare me batao|{} aur {} me kya farak "
                "hai", ""),
    "ar": ("ما هو {}؟|شو يعني {}|ايه معنى {}|ما معنى {}؟|اشرح لي {}|ما الفرق بين {} و {}؟",
           "الصرع الربو الانسولين الصداع النصفي فقر الدم الجلطة اليرقان الحساسية الضغط السكري الهيموجلوبين"),
    "zh": ("{}是什么？|什么叫{}|{}是什么意思|请解释一下{}|{}和{}有什么区别？",
           "贫血 癫痫 哮喘 心绞痛 胰岛素 黄疸 过敏 偏头痛 高血压 血红蛋白 甲状腺 肺炎"),
}


class Company:
    """What may stand beside a text of each language: of `rows` ({"text", "label", "lang"}) the short harmless ones."""

    def __init__(self, rows: list[dict]):
        self.harmless = defaultdict(list)
        for row in rows:
            if row["label"] == "none" and len(words_of(row["text"])) <= SHORT:
                self.harmless[row.get("lang", "en")].append(row["text"])

    def join(self, row: dict, rng: random.Random) -> str:
        """The row's text in company; as it is when it is long or in a language that nobody here asks in."""
        text, lang = row["text"], row.get("lang", "en")
        if lang not in QUESTIONS or len(words_of(text)) > MOST_WORDS:
            return text
        beside = question(lang, rng) if rng.random() < 0.7 else rng.choice(self.harmless[lang] or [question(lang, rng)])
        both = (text, beside) if rng.random() < 0.7 else (beside, text)
        return rng.choice((" ", " ", ". ", ", ", "\n")).join(both)


def question(lang: str, rng: random.Random) -> str:
    """A question about a term."""
    asked, terms = QUESTIONS[lang]
    asked, terms = rng.choice(asked.split("|")), terms.split() or TERMS
    made = asked.format(*rng.sample(terms, asked.count("{}")))
    return made[0].upper() + made[1:] if rng.random() < 0.5 else made
