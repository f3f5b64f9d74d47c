"""What the MCP server has besides its tools: the model card and the figures to read, and a prompt.

Gradio would make a public endpoint of each of these, so they are given to the MCP server itself.
"""

import json
from contextlib import asynccontextmanager

from mcp import types
from mcp.server.lowlevel.helper_types import ReadResourceContents

from kira import limits
from kira.controls import DISCLAIMER
from kira.errors import UserError
from kira.service import service
from kira.settings import settings

INSTRUCTIONS = (
    "Kira explains medical terms and health topics in plain words, by a small model that can be wrong. Put what a "
    "person wrote to `triage` first; if it names an emergency or a crisis, show its advice as it is, before all else. "
    f"`kira://card` tells what the model was trained on and where it fails. {DISCLAIMER}")
RESOURCES = (
    types.Resource(uri="kira://card", name="card", title="Model card", mimeType="text/markdown",
                   description="The card of the model that answers here, at the revision in use: data, training, "
                               "figures, limits, licence."),
    types.Resource(uri="kira://metrics", name="metrics", title="Evaluation", mimeType="application/json",
                   description="metrics.json of that revision: every run and difference of base and fine-tuned, with n "
                               "and 95 % interval."),
)
EXPLAIN = types.Prompt(
    name="explain", title="Explain a medical term",
    description="Explain a term in plain words with Kira's answer, its model named, its limits said.",
    arguments=[types.PromptArgument(name="term", description="A medical term or health topic.", required=True)])
REQUEST = """Explain to a person without medical training: {term}

1. Call `triage` with the text above. If its label is emergency or crisis, show its advice unchanged and stop.
2. Call `ask` with a question about it. If `notice` is set, show the answer unchanged and stop.
3. Otherwise explain it in short, plain sentences. Say which of them are Kira's and name its model. Kira is small and
   can be wrong: say so where you know better. Give no doses and no diagnosis.
4. End with: {disclaimer}"""


@asynccontextmanager
async def lifespan(app):
    """Puts all of it in place before the first request."""
    server = app.get_blocks().mcp_server_obj.mcp_server
    server.instructions = INSTRUCTIONS

    @server.list_resources()
    async def resources():
        return list(RESOURCES)

    @server.read_resource()
    async def read(uri):
        kind = {str(each.uri): each.mimeType for each in RESOURCES}.get(str(uri))
        read_it = {"kira://card": card, "kira://metrics": metrics}.get(str(uri))
        if not read_it:
            raise ValueError("There is no such resource.")
        return [ReadResourceContents(content=read_it(), mime_type=kind)]

    @server.list_prompts()
    async def prompts():
        return [EXPLAIN]

    @server.get_prompt()
    async def prompt(name, arguments):
        if name != EXPLAIN.name:
            raise ValueError("There is no such prompt.")
        term = limits.checked_question((arguments or {}).get("term", ""), settings())
        text = REQUEST.format(term=term, disclaimer=DISCLAIMER)
        return types.GetPromptResult(description=EXPLAIN.description, messages=[
            types.PromptMessage(role="user", content=types.TextContent(type="text", text=text))])

    yield


def card() -> str:
    """The card of the adapter that answers. Raises UserError."""
    path = service.published and service.published[0].adapter.folder / "README.md"
    if not path or not path.is_file():
        raise UserError("There is no model card for the model that answers here.")
    return path.read_text("utf-8")


def metrics() -> str:
    """metrics.json of the adapter that answers, with repository and revision. Raises UserError."""
    found = service.results[0]
    if not found.metrics:
        raise UserError("There are no published results for the model that answers here.")
    return json.dumps({**found.metrics, "repo": found.repo, "revision": found.revision}, ensure_ascii=False)
