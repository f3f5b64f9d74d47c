"""One comparison of a visit: what was asked and answered, in which order it is shown, and what of it may be told."""

import json
from dataclasses import dataclass, field
from html import escape

from kira import views, votes
from kira.controls import DISCLAIMER
from kira.figures import label, number
from kira.service import called, service
from kira.step import FIXED, Step
from kira.translations import say
from kira.word_difference import MOST_WORDS, word_difference
from kira.word_overlap import rouge_l, token_f1

UNNAMED = ("answer_a", "answer_b")
SCORES = {"rougeL": rouge_l, "token_f1": token_f1}


@dataclass
class Comparison:
    """`order`: which model stands in each pane, 0 the base. While it is `secret`, nothing tells it to the browser."""

    runs: list[str]  # the fine-tuned models by their names, as the link has them
    titles: list[str]  # of the models, the base first
    question: str
    sampling: dict
    order: tuple[int, ...]
    blind: bool = False
    choice: str = ""  # a key of votes.CHOICES once voted
    step: Step = field(default_factory=lambda: Step([]))

    @property
    def secret(self) -> bool:
        """Fixed words are the same on each side and come from no model, so they need no vote."""
        return self.blind and not self.choice and self.step.ended != FIXED

    @property
    def finished(self) -> bool:
        """The models have said all they will."""
        return bool(self.step.ended) and self.step.ended != FIXED

    @property
    def may_be_voted(self) -> bool:
        """Once there is something to read on both sides."""
        return self.secret and len(self.step.texts) > 1 and all(self.step.texts[:2])

    @property
    def reference(self) -> str:
        """The reference answer where the question is one of the published test split; else nothing."""
        asked = self.question.strip()
        return next((row["reference"] for row in service.results[0].answers if row["question"].strip() == asked), "")

    def shown(self) -> list[tuple[str, str]]:
        """(title, text) of each pane."""
        texts = [*self.step.texts, *[""] * len(self.titles)]
        both, unnamed = [(self.titles[model], texts[model]) for model in self.order], [*map(say, UNNAMED)]
        if self.secret:
            return [*((name, text) for name, (_, text) in zip(unnamed, both, strict=False)),
                    *((title, say("after_vote")) for title, _ in both[2:])]
        if self.blind:
            return [*((f"{name}: {title}", text) for name, (title, text) in zip(unnamed, both, strict=False)),
                    *both[2:]]
        return both

    def panes(self, marked: bool) -> str:
        """All panes as HTML; `marked`, once finished: the first one's words that the second lacks, and the others' that
        the first lacks."""
        shown = self.shown()
        plain = [views.pane(title, text) for title, text in shown]
        if not (marked and self.finished):
            return views.side_by_side(plain)
        (first, left), *others = self._answered()
        found = [word_difference(left, text) for _, text in others]
        if None in found:
            return views.side_by_side(plain)
        marks = [views.marked_pane(first, found[0][0], "del"),
                 *(views.marked_pane(title, own, "ins") for (title, _), (_, own) in zip(others, found, strict=True))]
        return views.side_by_side([*marks, *plain[len(marks):]])

    def details(self, marked: bool) -> str:
        """What stands under finished answers: how to read the marks, the reference with scores, and `record`."""
        if not self.finished:
            return ""
        parts, shown = [], self.shown()
        if marked:
            left, right = (title for title, _ in shown[:2])
            said = say("marks", left=left, right=right)
            if any(len(text.split()) > MOST_WORDS for _, text in self._answered()):
                said = say("marks_limit", count=MOST_WORDS)
            parts.append(f'<p class="kira-small">{escape(said)}</p>')
        if self.reference:
            parts.append(views.pane(say("test_reference"), self.reference, 3))
        if scores := self._scores():
            rows = [[label(name), *map(number, values)] for name, values in scores.items()]
            parts += [
                views.table(say("scores_caption"), (say("score"), *(title for title, _ in self._answered())), rows),
                f'<p class="kira-small">{escape(say("scores_note"))}</p>']
        record = escape(json.dumps(self.record(), ensure_ascii=False), True)
        return f'<div class="kira-text">{"".join(parts)}<div hidden data-comparison="{record}"></div></div>'

    def record(self) -> dict:
        """What is exported; as long as the order is secret, without anything that tells it."""
        models, answers = service.compared(self.runs), []
        for (title, text), model in zip(self._answered(), self.order, strict=False):
            answers.append({"title": title, "model": None if self.secret else called(models[model]), "answer": text})
        for name, values in self._scores().items():
            for answer, value in zip(answers, values, strict=True):
                answer[name] = round(value, 4)
        return {"question": self.question, **self.sampling, "runs": self.runs, "blind": self.blind,
                "vote": votes.preferred(self.choice, self.order) if self.choice else None,
                "reference": self.reference or None, "answers": answers, "notes": self.step.notes,
                "disclaimer": DISCLAIMER}

    def _answered(self) -> list[tuple[str, str]]:
        """The panes that hold an answer now, and a model's."""
        shown = self.shown()[:len(self.step.texts)]
        return shown[:2] if self.secret else shown

    def _scores(self) -> dict[str, list[float]]:
        """Of each answer against the reference; none while the order is secret: they would sway the vote."""
        if self.secret or not self.reference:
            return {}
        return {name: [score(text, self.reference) for _, text in self._answered()] for name, score in SCORES.items()}
