"""What programs are told and can read: the API's description, MCP's resources and prompt, and README's own examples."""

import json
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

from kira.api_pages import PUBLIC
from kira.settings import Settings
from tests.space.conftest import ROOT
from tests.space.test_endpoints import mcp

README = (ROOT / "README.md").read_text("utf-8").split("\n## For programs\n")[1].split("\n## ")[0]
BLOCKS = dict(zip(("python", "curl", "javascript", "mcp"), re.findall(r"```\w+\n(.*?)```", README, re.DOTALL),
                  strict=True))
DANGER = "I have crushing chest pain and cannot breathe"


def get(space, path):
    with urllib.request.urlopen(space.url + path, timeout=30) as answer:
        return answer.read().decode()


def test_the_description_tells_of_the_four_and_nothing_else(space, client):
    told = json.loads(get(space, "/gradio_api/openapi.json"))
    assert set(told["paths"]) == {path for name in PUBLIC for path in (
        f"/gradio_api/call/v2/{name}", f"/gradio_api/call/{name}/{{event_id}}")}
    body = told["paths"]["/gradio_api/call/v2/ask"]["post"]["requestBody"]["content"]["application/json"]
    assert body["schema"]["required"] == ["question"]
    assert body["schema"]["properties"]["question"]["maxLength"] == Settings().max_question_chars
    assert body["schema"]["properties"]["max_new_tokens"]["maximum"] == 8000, "this Space's own"
    assert all(each["description"] for each in body["schema"]["properties"].values())
    answer = client.predict(**body["example"], max_new_tokens=4, api_name="/ask")
    schemas = told["components"]["schemas"]
    assert set(answer) == set(schemas["AskResult"]["required"])
    assert set(client.predict(DANGER, api_name="/triage")) == set(schemas["TriageResult"]["required"])
    assert set(client.predict("fever", 4, api_name="/compare")) >= set(schemas["CompareResult"]["required"])


def test_language_models_are_told_the_same(space):
    told = get(space, "/agents.md")
    assert re.findall("^## (.*)$", told, re.MULTILINE) == ["How to call", *PUBLIC, "MCP"]
    assert "not a doctor" in told and f"at most {Settings().max_question_chars} characters" in told
    example = told.split("```sh\n")[1].split("```")[0]
    done = subprocess.run(["sh", "-c", example], capture_output=True, text=True, timeout=60)
    assert "event: complete" in done.stdout, done.stderr


def test_mcp_has_card_figures_and_a_prompt_that_are_no_endpoints(space, client, published):
    async def work(session):
        listed = {str(each.uri): each.mimeType for each in (await session.list_resources()).resources}
        card, metrics = [(await session.read_resource(uri)).contents[0].text for uri in listed]
        (prompt,) = (await session.list_prompts()).prompts
        told = (await session.get_prompt("explain", {"term": "mild fever"})).messages[0].content.text
        failures = []
        for ask in (session.read_resource("kira://settings"), session.get_prompt("other", {}),
                    session.get_prompt("explain", {"term": "x" * 4001})):
            with pytest.raises(Exception) as failed:
                await ask
            failures.append(str(failed.value))
        return listed, card, json.loads(metrics), prompt, told, failures

    listed, card, metrics, prompt, told, failures = mcp(space, work)
    assert listed == {"kira://card": "text/markdown", "kira://metrics": "application/json"}
    assert card == (published.adapter / "README.md").read_text()
    assert metrics.pop("revision") == published.shas["main"] and metrics.pop("repo") == "kira/tiny-lora"
    assert metrics == json.loads((published.adapter / "metrics.json").read_text())
    assert [each.name for each in prompt.arguments] == ["term"] and "mild fever" in told and "`triage`" in told
    assert "no such resource" in failures[0] and "no such prompt" in failures[1] and "4001 characters" in failures[2]
    assert set(client.view_api(return_format="dict", print_info=False)["named_endpoints"]) == {f"/{n}" for n in PUBLIC}


def test_what_else_gradio_serves_is_shut(space):
    for path in ("/flag", "/gradio_api/runs", "/monitoring", "/monitoring/summary", "/gradio_api/vibe-code"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            get(space, path)
        assert refused.value.code in (403, 404), path


def run(space, command, code, path):
    """Runs README's code as `path`, with the running Space's address for README's; returns what it printed."""
    assert "http://127.0.0.1:7860" in code
    path.write_text(code.replace("http://127.0.0.1:7860", space.url))
    done = subprocess.run([command, path], cwd=path.parent, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_readmes_python_program_runs(space, client, tmp_path):
    told = run(space, sys.executable, BLOCKS["python"], tmp_path / "example.py")
    answer = client.predict("What is arachnodactyly?", api_name="/ask")
    assert answer["answer"] in told and answer["model"] in told and "'rouge" in told
    assert client.predict(DANGER, api_name="/triage")["advice"] in told


def test_readmes_shell_program_runs(space, client, tmp_path):
    told = run(space, "sh", BLOCKS["curl"], tmp_path / "example.sh")
    answer = json.loads(told.split("event: complete\ndata: ")[1].splitlines()[0])[0]
    assert answer["answer"] == client.predict("What is arachnodactyly?", max_new_tokens=80, api_name="/ask")["answer"]


def test_readmes_mcp_program_runs(space, client, tmp_path):
    told = run(space, sys.executable, BLOCKS["mcp"], tmp_path / "example.py")
    assert "Put what a person wrote to `triage` first" in told and "['ask', 'compare', 'results', 'triage']" in told
    assert "kira/tiny-lora@" in told and "# A tiny adapter's card" in told and "without medical training" in told


@pytest.mark.slow  # not every machine has Node; without it, this fails
def test_readmes_javascript_program_runs(space, client, tmp_path):
    assert shutil.which("npm"), "this test needs Node 18 or later, with npm and its registry"
    subprocess.run(["npm", "install", "--no-audit", "--no-fund", "@gradio/client@2.7.0"], cwd=tmp_path, check=True,
                   capture_output=True, timeout=120)
    told = run(space, "node", BLOCKS["javascript"], tmp_path / "example.mjs")
    assert client.predict("What is arachnodactyly?", api_name="/ask")["answer"] in told
    assert "emergency" in told
