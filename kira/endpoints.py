"""What programs call, by Gradio client, REST and MCP: `ask`, `compare`, `results`, `triage`; the page uses `answers`.

The docstrings of these four are the documentation that programs see.
"""

import gradio as gr
from gradio.context import LocalContext

from kira import guard, limits
from kira.controls import DEFAULT_TOKENS, DISCLAIMER
from kira.errors import UserError
from kira.figures import comparison_rows
from kira.prompt import build_messages
from kira.replies import Answer, Compared, Figures, Triaged, Turn
from kira.service import called, service
from kira.settings import settings
from kira.step import FIXED, Step
from kira.triage import triage as triaged

RATE = limits.Rate(settings().questions_per_minute)


def answers(runs, question, history, max_new_tokens, temperature, top_p, seed):
    """Checked question in, (step of the answer, notice before it or None) out; failures to act on as gr.Error.

    `runs`: names of the fine-tuned models that answer beside the base; None in a conversation with one model. Fixed
    words come at once: no model, no GPU, no rate and no other argument stands before them, nor do those who wait for a
    model (kira.lines).
    """
    rows = 1 if runs is None else limits.MOST_SIDE_BY_SIDE  # of fixed words, which need no name that is known
    try:
        if danger := guard.danger_in(question, settings().max_question_chars):
            yield Step([danger.text] * rows, [0] * rows, ended=FIXED), danger
            return
        question = limits.checked_question(question, settings())
        history = limits.checked_history(history, settings())
        sampling = limits.checked_sampling(max_new_tokens, temperature, top_p, seed, settings())
        runs = runs if runs is None else limits.checked_runs(runs)
        notice, asks = guard.first_words(question, history, service.vocabulary)
        if notice:
            yield Step([notice.text] * rows, [0] * rows, ended="" if asks else FIXED), notice
        if asks:
            RATE.count(limits.visitor_of(LocalContext.request.get()))
            for step in service.answer(runs, build_messages(question, history), sampling):
                if notice and step:
                    step.texts = [f"{notice.text}\n\n{text}" for text in step.texts]
                yield step, notice
    except UserError as error:
        raise gr.Error(str(error), print_exception=False) from None


def _figures(step, notice) -> Figures:
    """Tokens, speed, notes and notice of a step, as programs get them."""
    return {"notice": notice and {"label": notice.label, "group": notice.group, "lang": notice.lang},
            "tokens": sum(step.tokens), "tokens_per_second": round(step.rate, 1),
            "first_token_seconds": round(step.first_s, 3), "notes": step.notes}


def ask(question: str, history: list[Turn] | None = None, max_new_tokens: int = DEFAULT_TOKENS,
        temperature: float = 0.0, top_p: float = 1.0, seed: int = 0) -> Answer:
    """Answer a question about a medical term or health topic in plain words. General information, not medical advice.

    Streams the answer as it grows; each message holds all of it so far, and the model that writes it. Show `answer`
    with `notes` and `disclaimer`. If somebody seems to be in danger, the answer is fixed advice with numbers to call;
    if a dose, a diagnosis or another subject is asked for, a fixed refusal: then `notice` says why and `model` is null.

    Args:
        question: The question, in plain text.
        history: Earlier turns, oldest first, each {"role": "user" or "assistant", "content": text}.
        max_new_tokens: Longest answer, in tokens.
        temperature: 0 always gives the same answer; up to 2, higher values vary more.
        top_p: Share of likely words to draw from, above 0 and at most 1; unused at temperature 0.
        seed: Start of the random draw; unused at temperature 0.
    """
    for step, notice in answers(None, question, history, max_new_tokens, temperature, top_p, seed):
        if step:
            model = None if step.ended == FIXED else service.speaker and called(service.speaker)
            yield {"answer": step.texts[0], "model": model, "disclaimer": DISCLAIMER, **_figures(step, notice)}


def compare(question: str, max_new_tokens: int = DEFAULT_TOKENS, temperature: float = 0.0, top_p: float = 1.0,
            seed: int = 0, beside: str = "") -> Compared:
    """Answer the same question with the base model and with the fine-tuned model, side by side.

    Streams both answers as they grow: `base` from the model `base_model`, `tuned` from `tuned_model`. If one more
    fine-tuned model is asked for, its answer comes too: `beside`, from the model `beside_model`. Fixed text, as in
    `ask`, stands in every place.

    Args:
        question: The question, in plain text.
        max_new_tokens: Longest answer of each model, in tokens.
        temperature: 0 always gives the same answers; up to 2, higher values vary more.
        top_p: Share of likely words to draw from, above 0 and at most 1; unused at temperature 0.
        seed: Start of the random draw; unused at temperature 0.
        beside: One more fine-tuned model of those that this Space serves, by its repository, perhaps with @revision;
            `results` has them under `beside`.
    """
    runs = ["", beside] if beside else [""]
    names = ("base", "tuned", "beside")[:1 + len(runs)]
    for step, notice in answers(runs, question, None, max_new_tokens, temperature, top_p, seed):
        if step:
            models = [None] * len(names) if step.ended == FIXED else map(called, service.compared(runs))
            yield {**dict(zip(names, step.texts, strict=False)),
                   **{f"{name}_model": model for name, model in zip(names, models, strict=False)},
                   "disclaimer": DISCLAIMER, **_figures(step, notice)}


def results() -> dict:
    """Give the published evaluation of base and fine-tuned: every run and difference with n and its 95 % interval.

    `rows` is the comparison as a table, `runs` and `deltas` hold all figures, `repo` and `revision` say what was
    measured. If the Space serves further fine-tuned models, `beside` is a list of their evaluations in the same form.
    No GPU is used.
    """
    service.ready.wait(settings().deadline_s)
    found, *beside = ({**each.metrics, "repo": each.repo, "revision": each.revision,
                       "rows": comparison_rows(each.metrics)} if each.metrics else None for each in service.results)
    if not found:
        raise gr.Error("There are no published results for the model that answers here.", print_exception=False)
    return {**found, "beside": [each for each in beside if each]} if any(beside) else found


def triage(text: str) -> Triaged:
    """Tell whether a message shows that somebody needs help now, and give fixed advice with numbers to call.

    `label` is emergency, crisis or none, `group` the kind of danger; show `advice` as it is, before anything else. A
    check by rules and small classifiers, not by a clinician or a chat model: it misses much, so none does not mean
    safe. No GPU is used.

    Args:
        text: What a person wrote, in English, Spanish, French, German, Portuguese, Hindi, Arabic or Chinese.
    """
    try:
        found = triaged(limits.checked_question(text, settings()))
    except UserError as error:
        raise gr.Error(str(error), print_exception=False) from None
    return {"label": found.label if found else "none", "group": found.group if found else "",
            "lang": found.lang if found else "", "advice": found.text if found else "", "disclaimer": DISCLAIMER}
