"""What the buttons of the training page do. Gradio gives `profile` and `token` by their annotations."""

import dataclasses
from html import escape
from pathlib import Path

import gradio as gr

from kira import views
from kira.errors import UserError
from train_space import ui_data, ui_job, ui_progress, ui_recipe
from train_space.files import write_json_lines
from train_space.ui_machine import ESTIMATE, PUBLISH, TRAIN, Machine
from train_space.ui_visitor import Visitor, visitor

UPLOAD, HUB = "Upload a file", "Name a Hub dataset"
START = ui_recipe.preset()
machine = Machine()


def said(function):
    """Shows a UserError as the one sentence that it is."""
    try:
        return function()
    except UserError as error:
        raise gr.Error(str(error), print_exception=False) from None


def who_is_here(profile: gr.OAuthProfile | None, token: gr.OAuthToken | None) -> str:
    """The sentence of the first step."""
    try:
        return views.pane("Signed in", f"as {visitor(profile, token).name}", 3)
    except UserError as error:
        return views.pane("Not signed in", str(error), 3)


def chosen(kind: str, file: str | None):
    """The controls of one way to bring rows."""
    shown = look_at_upload(file) if kind == UPLOAD else look_at_upload(None)
    return gr.Column(visible=kind == UPLOAD), gr.Column(visible=kind == HUB), *shown


def rows_table(rows: list[dict], names: list[str]) -> str:
    """The first rows as text."""
    table = views.table("Preview of the rows", names, ui_data.preview(rows, names))
    return f'<div class="kira-rows">{table}</div>'


def column_choices(names: list[str]):
    """The two boxes that say which column holds what, with the likeliest chosen."""
    return [gr.Dropdown(choices=names, value=name) for name in ui_data.guesses(names)]


def look_at_upload(file: str | None):
    """(preview, question column, answer column) of an upload."""
    if not file:
        return "", *column_choices([])
    rows = said(lambda: ui_data.read_upload(Path(file)))
    names = ui_data.columns(rows)
    shown = f'<p class="kira-small">{len(rows):,} rows; the first ones:</p>'
    shown += rows_table(rows, names)
    return shown, *column_choices(names)


def look_at_dataset(repo: str, profile: gr.OAuthProfile | None, token: gr.OAuthToken | None):
    """(preview, question column, answer column) of a Hub dataset."""
    sha, rows = said(lambda: ui_data.look_at_dataset(repo.strip(), visitor(profile, token).token))
    names = ui_data.columns(rows)
    shown = f'<p class="kira-small">{escape(repo)} at {escape(sha[:7])}; the first rows:</p>'
    return shown + rows_table(rows, names), *column_choices(names)


def recipe_of(who: Visitor, base, kind, file, question, answer, repo, licence, run_name, *values):
    """(the recipe that the page says, rows of the upload or None). Raises UserError."""
    base, licence, rows = base.strip(), licence.strip(), None
    if base.count("/") != 1 or len(base) > 200:
        raise UserError("Please name the base as OWNER/NAME.")
    ui_data.check_licence(licence)
    fields = {"base_repo": base, "base_revision": "", "source_revision": "", "source_licence": licence}
    if base != START.base_repo:
        fields["base_licence"] = ""
    if kind == HUB:
        sha, first = ui_data.look_at_dataset(repo.strip(), who.token)
        fields |= {"source_location": repo.strip(), "source_revision": sha,
                   **ui_data.source_fields(first, question, answer)}
    else:
        if not file:
            raise UserError("Please upload a file first.")
        fields |= {"source": "jsonl", "source_location": "rows.jsonl"}
        rows = ui_data.mapped(ui_data.read_upload(Path(file)), question, answer)
    return ui_recipe.build(who.name, run_name, START, values, fields), rows


def begin(doing: str, profile, token, form: list) -> None:
    """Starts `doing` on this machine with what the form says; only what is right takes the machine."""
    who = visitor(profile, token)
    recipe, rows = recipe_of(who, *form)
    with machine.lock:
        run = machine.claim(who)
        if rows:
            run.uploads.add(Path(form[2]))
            recipe = dataclasses.replace(recipe, source_location=str(run.folder / "rows.jsonl"))
            write_json_lines(run.folder / "rows.jsonl", rows)
        run.recipe, run.published = recipe, {}
        ui_recipe.write(recipe, run.folder / "recipe.yaml")
        machine.start(who, doing)


def refreshed(profile, token, before: str = ""):
    """Everything that depends on the run; the picture only when it has changed, so that nobody is read it twice."""
    try:
        run = machine.run_of(visitor(profile, token))
    except UserError:
        run = None
    now = ui_progress.shown(run)
    running, there = bool(run and run.is_running), bool(run and run.recipe)
    trained = there and run.measured and not running
    resumable = there and run.doing == TRAIN and run.ended in ("cancelled", "failed")
    return (gr.skip() if now == before else now, now, gr.Button(interactive=not running),
            gr.Button(interactive=not running), gr.Button(visible=running), gr.Button(visible=resumable),
            gr.Column(visible=trained), gr.Button(visible=there and not running), gr.Timer(active=running))


def estimate(profile: gr.OAuthProfile | None, token: gr.OAuthToken | None, *form):
    """Prepares the rows and tries three steps."""
    said(lambda: begin(ESTIMATE, profile, token, list(form)))
    return refreshed(profile, token)


def train(profile: gr.OAuthProfile | None, token: gr.OAuthToken | None, *form):
    """Prepares, trains and measures."""
    said(lambda: begin(TRAIN, profile, token, list(form)))
    return refreshed(profile, token)


def resume(profile: gr.OAuthProfile | None, token: gr.OAuthToken | None):
    """The same run once more: it goes on from what is whole."""
    def again():
        who = visitor(profile, token)
        run = machine.run_of(who)
        if not run or not run.recipe:
            raise UserError("There is no run to go on with; it was removed meanwhile.")
        machine.start(who, TRAIN)

    said(again)
    return refreshed(profile, token)


def publish(agreed: bool, profile: gr.OAuthProfile | None, token: gr.OAuthToken | None):
    """Puts adapter and split into the account of the visitor, who has agreed."""
    def out():
        who = visitor(profile, token)
        run = machine.run_of(who)
        if not run or not run.measured:
            raise UserError("There is nothing measured to publish; train first.")
        if agreed is not True:
            raise UserError("Please confirm first that these rows may be published.")
        machine.start(who, PUBLISH)

    said(out)
    return refreshed(profile, token)


def cancel(profile: gr.OAuthProfile | None, token: gr.OAuthToken | None):
    """Ends what runs; what is whole stays."""
    said(lambda: machine.cancel(visitor(profile, token)))
    return refreshed(profile, token)


def discard(profile: gr.OAuthProfile | None, token: gr.OAuthToken | None):
    """Removes everything of the run."""
    said(lambda: machine.discard(visitor(profile, token)))
    return refreshed(profile, token)


def job(agreed: bool, flavor: str, profile: gr.OAuthProfile | None, token: gr.OAuthToken | None, *form):
    """Starts the same run as a Job on the Hub, which publishes; so the visitor has agreed."""
    def send():
        who = visitor(profile, token)
        if agreed is not True:
            raise UserError("Please confirm first that the job may publish what it makes.")
        recipe, rows = recipe_of(who, *form)
        url = ui_job.submit(recipe, who, flavor, bool(rows))
        return views.pane("The job is on its way", "It publishes to your account when it is done.", 3) + views.link(
            url, url)

    return said(send)


def tick(before: str, profile: gr.OAuthProfile | None, token: gr.OAuthToken | None):
    """Once a second while something runs."""
    return refreshed(profile, token, before)
