"""The API's description for programs (/gradio_api/openapi.json) and for language models that are let loose on it
(/agents.md), both from the endpoints' signatures and docstrings.

Gradio's own OpenAPI document leaves out what parameters mean, which are required, their bounds, and every failure.
"""

import json

from gradio.route_utils import get_root_url
from gradio.utils import get_function_description
from gradio_client.utils import python_type_to_json_schema
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

from kira import limits, refusal
from kira.controls import DISCLAIMER
from kira.settings import settings

PUBLIC = ("ask", "compare", "results", "triage")
ABOUT = ("Medical terms and health topics in plain words, by a small open model and the base that it was fine-tuned "
         f"from. {DISCLAIMER}")
TWO_STEPS = ("A call takes two requests. POST gives an event id; GET with that id streams server-sent events: "
             "`generating` with each step, then `complete` with the last one. Their data is a JSON array that holds "
             "one object. `error` has {\"error\": a sentence} in its place, and `heartbeat` nothing. Status 503 says "
             "that too many wait already: come back in a minute.")
WORDS = {"minLength": "not empty,", "maxLength": "at most {} characters", "maxItems": "at most {} turns",
         "minimum": "from {}", "exclusiveMinimum": "above {}", "maximum": "to {}"}
EXAMPLES = {"question": "What is arachnodactyly?", "text": "I have crushing chest pain and cannot breathe"}


def bounds() -> dict[str, dict]:
    """What each parameter may be, as kira.limits checks it."""
    most = {"minLength": 1, "maxLength": settings().max_question_chars}
    return {"question": most, "text": most, "history": {"maxItems": settings().max_turns},
            "max_new_tokens": {"minimum": 1, "maximum": settings().max_new_tokens},
            "temperature": {"minimum": 0, "maximum": limits.MAX_TEMPERATURE},
            "top_p": {"exclusiveMinimum": 0, "maximum": 1}, "seed": {"minimum": 0, "maximum": limits.MAX_SEED}}


def described(app) -> dict[str, dict]:
    """By endpoint: its description, its parameters as JSON schemas, the names of the required ones, its result."""
    found, known_to_gradio = {}, app.get_blocks().get_api_info()["named_endpoints"]
    for name in PUBLIC:
        fn = next(each.fn for each in app.get_blocks().fns.values() if each.api_name == name)
        description, meanings, _ = get_function_description(fn)
        found[name] = {
            "description": description, "required": [], "properties": {},
            "result": python_type_to_json_schema(fn.__annotations__["return"]),
        }
        for each in known_to_gradio[f"/{name}"]["parameters"]:
            known = each["parameter_name"]
            default = {"default": each["parameter_default"]} if each["parameter_has_default"] else {}
            found[name]["properties"][known] = {
                **each["type"], **bounds().get(known, {}), **default, "description": meanings[known]}
            if not default:
                found[name]["required"].append(known)
    return found


def openapi(request) -> JSONResponse:
    """OpenAPI 3.1 of the public endpoints."""
    paths, endpoints = {}, described(request.app)
    for name, each in endpoints.items():
        known = {key: EXAMPLES[key] for key in each["required"]}
        body = {"type": "object", "properties": each["properties"], "required": each["required"]}
        first = each["description"].split(". ")[0].rstrip(".")
        paths[f"/gradio_api/call/v2/{name}"] = {"post": {
            "operationId": name, "summary": f"{first}.", "description": f"{each['description']} {TWO_STEPS}",
            "requestBody": {"required": True, "content": {"application/json": {"schema": body, "example": known}}},
            "responses": {
                "200": _answer("The call waits for its turn; its result is at GET /gradio_api/call/"
                               f"{name}/{{event_id}}.", {"event_id": {"type": "string"}}),
                **{str(status): _answer(sentence, {"detail": {"type": "string"}}) for status, sentence in (
                    (400, refusal.SENSELESS), (413, refusal.TOO_LONG), (422, refusal.SENSELESS), (503, refusal.BUSY))},
            }}}
        paths[f"/gradio_api/call/{name}/{{event_id}}"] = {"get": {
            "operationId": f"{name}_result", "summary": f"The result of a call of {name}, as it comes.",
            "description": TWO_STEPS,
            "parameters": [{"name": "event_id", "in": "path", "required": True, "schema": {"type": "string"},
                            "description": "What the POST request gave."}],
            "responses": {"200": {"description": "The data of `generating` and `complete` is an array that holds one "
                                                 f"{name.capitalize()}Result.",
                                  "content": {"text/event-stream": {"schema": {"type": "string"}}}}}}}
    results = {f"{name.capitalize()}Result": each["result"] for name, each in endpoints.items()}
    return JSONResponse({"openapi": "3.1.0", "info": {"title": "Kira", "description": ABOUT, "version": "1"},
                         "paths": paths, "components": {"schemas": results}})


def agents(request) -> PlainTextResponse:
    """The same in Markdown, with one complete example and the MCP server's address."""
    here = get_root_url(request, "/agents.md", None)
    parts = [f"# Kira\n\n{ABOUT}\n", f"## How to call\n\n{TWO_STEPS}\n", EXAMPLE.format(here=here)]
    for name, each in described(request.app).items():
        parts.append(f"## {name}\n\n{each['description']}\n")
        for known, schema in each["properties"].items():
            must = "required" if known in each["required"] else f"default {json.dumps(schema['default'])}"
            span = " ".join(WORDS[bound].format(value) for bound, value in bounds().get(known, {}).items())
            parts.append(f"- `{known}` ({'; '.join(filter(None, (must, span)))}): {schema['description']}")
        fields = ", ".join(f"`{field}`" for field in each["result"].get("properties", {}))
        parts.append(f"\nGives {fields}.\n" if fields else "")
    parts.append(f"## MCP\n\nThe same four are tools of the MCP server at {here}/gradio_api/mcp/ (streamable HTTP); it "
                 "also has the model card and the figures as resources, and a prompt.\n")
    return PlainTextResponse("\n".join(parts), media_type="text/markdown; charset=utf-8")


EXAMPLE = """```sh
id=$(curl -s {here}/gradio_api/call/v2/ask -H 'Content-Type: application/json' \\
  -d '{{"question": "What is arachnodactyly?"}}' | cut -d '"' -f 4)
curl -sN {here}/gradio_api/call/ask/$id
```
"""


def _answer(sentence: str, properties: dict) -> dict:
    schema = {"type": "object", "properties": properties}
    return {"description": sentence, "content": {"application/json": {"schema": schema}}}


ROUTES = [Route("/gradio_api/openapi.json", openapi), Route("/agents.md", agents)]
