"""The Compare tab: one question, answered by every model at once, named or blind."""

import json
import random
from pathlib import Path

import gradio as gr

from kira import kept_votes, limits, views, votes
from kira.comparison import Comparison
from kira.controls import MODEL, PRIVATE, disclaimer, sampling_controls, status, stoppable
from kira.endpoints import answers
from kira.service import service
from kira.settings import settings
from kira.step import FIXED
from kira.translations import here, say

SCRIPT = Path(__file__).with_name("compare.js").read_text("utf-8")
QUIET = {"queue": False, "show_progress": "hidden", **PRIVATE}
DRAW = random.SystemRandom()  # of sides and test questions: no seed of a visitor's tells the order


class Visit:
    """What this tab remembers of a visit, on the server alone: what is shown, and how was voted.

    Changed in place, never replaced: a vote may come while the answers stream, and each must see the other's doing.
    """

    def __init__(self):
        self.comparison, self.votes = None, []


def loaded():
    """What depends on what could be loaded: the choice of a fine-tuned model, the draw of a test question."""
    return gr.CheckboxGroup(visible=len(service.published) > 1), gr.Button(visible=bool(service.results[0].answers))


def title(run: str) -> str:
    """Of a fine-tuned model's pane; a sha is told by its first seven signs."""
    if not run:
        return say("fine_tuned")
    name, at, revision = run.split("/")[-1].partition("@")
    return f"{name}{at}{revision[:7] if len(revision) == 40 else revision}"


def question_of_the_test_split() -> str:
    """A question of the published test split, at random."""
    rows = service.results[0].answers
    return DRAW.choice(rows)["question"] if rows else gr.skip()


def side_by_side(question, max_new_tokens, temperature, top_p, seed, runs, blind, marked, visit):
    """Streams what `drawn` gives, and the status."""
    sampling = {"max_new_tokens": max_new_tokens, "temperature": temperature, "top_p": top_p, "seed": seed}
    order = [0, 1]
    if blind:
        DRAW.shuffle(order)
    titles = [say("base_model"), *map(title, runs)]
    asked = Comparison(runs, titles, question, sampling, (*order, *range(2, len(titles))), bool(blind))
    for step, _ in answers(runs, question, None, *sampling.values()):
        asked.step = step or asked.step
        visit.comparison = asked
        yield *drawn(visit, marked), status(step)


def drawn(visit, marked):
    """(panes, details, the frame for what has ended, the votes' frame, its buttons, its line) as the visit stands."""
    asked = visit.comparison
    if not asked:
        return [gr.skip()] * (5 + len(votes.CHOICES))
    buttons = [gr.Button(interactive=asked.may_be_voted) for _ in votes.CHOICES]
    cast = [vote for run, vote in visit.votes if run in asked.runs[:1]]
    line = f'<p class="kira-small" role="status">{votes.tally(cast)}</p>' if cast else ""
    return (asked.panes(marked), asked.details(marked), gr.Column(visible=asked.finished),
            gr.Column(visible=asked.blind and asked.step.ended != FIXED), *buttons, line)


def voted(choice):
    """The handler of one of votes.CHOICES: counts a vote once, names the sides, and keeps it where that is set up."""
    def vote(visit, marked, consent):
        asked = visit.comparison
        if not asked or not asked.may_be_voted:
            yield drawn(visit, marked)
            return
        asked.choice = choice
        visit.votes.append((asked.runs[0], votes.preferred(choice, asked.order)))
        yield drawn(visit, marked)
        if kept_votes.keeper and not kept_votes.keeper.keep(asked, bool(consent)):
            gr.Warning(say("vote_not_kept"))

    return vote


def compare_tab(page: gr.Blocks):
    """The tab on `page`; returns all that `loaded` fills."""
    visit = gr.State(Visit())
    box = gr.Textbox(label=here("every_model"), lines=2, max_length=settings().max_question_chars,
                     placeholder=here("what_is"))
    disclaimer()
    with gr.Row(elem_classes="kira-buttons"):
        go = gr.Button(here("compare"), variant="primary", min_width=80)
        stop = gr.Button(here("stop"), min_width=80)
        draw = gr.Button(here("test_question"), min_width=140, visible=False)
    runs = gr.CheckboxGroup([(here("fine_tuned"), ""), *((title(run), run) for run in settings().beside)], value=[""],
                            label=here("beside_base"), visible=False)
    marked = gr.Checkbox(label=here("mark"))
    blind = gr.Checkbox(label=here("blind"))
    panes = gr.HTML()
    line = gr.HTML("", elem_classes="kira-status")
    with gr.Column(visible=False, elem_classes="kira-votes") as frame:
        with gr.Row(elem_classes="kira-buttons"):
            buttons = [gr.Button(here(name), min_width=120, interactive=False) for name in votes.CHOICES.values()]
        consent = gr.Checkbox(
            label=here("consent"), visible=bool(kept_votes.keeper),
            info=f"{here('consent_info')} {settings().votes_repo}")
        count = gr.HTML("")
    with gr.Column(visible=False) as ended:
        details = gr.HTML("")
        with gr.Row(elem_classes="kira-buttons"):
            link, record, picture = (gr.Button(here(name), size="sm", min_width=90)
                                     for name in ("copy_link", "save_json", "save_png"))
    controls = sampling_controls()

    shown = [panes, details, ended, frame, *buttons, count]
    event = gr.on([go.click, box.submit], side_by_side, [box, *controls, runs, blind, marked, visit], [*shown, line],
                  show_progress="hidden", **MODEL, **PRIVATE)
    stoppable(stop, [event], line)
    draw.click(question_of_the_test_split, None, box, **QUIET)
    marked.input(drawn, [visit, marked], shown, **QUIET)
    for button, choice in zip(buttons, votes.CHOICES, strict=True):
        button.click(voted(choice), [visit, marked, consent], shown, show_progress="hidden", **PRIVATE)
    bounds = json.dumps({"question": settings().max_question_chars, "tokens": [1, settings().max_new_tokens],
                         "temperature": [0, limits.MAX_TEMPERATURE], "top_p": [0.05, 1],
                         "seed": [0, limits.MAX_SEED], "runs": ["", *settings().beside]})
    form = [box, *controls, runs]
    page.load(lambda: views.side_by_side([views.pane(say(name), "") for name in ("base_model", "fine_tuned")]), None,
              panes, **QUIET)  # not in the page from the start: Gradio translates one text in a piece of HTML, not two
    page.load(None, form, form, js=f"(...form) => ({SCRIPT})({bounds}, form)", **PRIVATE)
    for button, name in ((link, "copyLink"), (record, "saveRecord"), (picture, "savePicture")):
        button.click(None, None, line, js=f"() => window.kiraCompare.{name}()", **PRIVATE)
    return [runs, draw]
