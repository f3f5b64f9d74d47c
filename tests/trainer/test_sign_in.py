"""The training page as a Space runs it: a visitor signs in at the Hub, in Chromium, and acts with their own account."""

import json
import urllib.request

import pytest
from playwright.sync_api import expect

from tests.space.conftest import Visit
from tests.trainer.conftest import Page
from tests.trainer.person import QUICK, fill, press, refused, status

SIGN_IN = "Sign in with Hugging Face"
OWNER = {"local-write": {"user": "kira", "role": "write", "orgs": []}}
VISITOR = {"of-a-visitor": {"user": "visitor", "role": "write", "orgs": []}}


@pytest.fixture(scope="module")
def on_space(hub, tmp_path_factory):
    """The page with what the Hub puts into the environment of a Space with `hf_oauth`; its own token is its owner's."""
    (hub.root / "tokens.json").write_text(json.dumps(OWNER | VISITOR))
    running = Page(hub.environment(
        OMP_NUM_THREADS="1", SYSTEM="spaces", SPACE_ID="kira/train", GRADIO_SERVER_NAME="127.0.0.1",
        OAUTH_CLIENT_ID="an-app", OAUTH_CLIENT_SECRET="a-secret", OAUTH_SCOPES="openid profile write-repos",
        OPENID_PROVIDER_URL=hub.endpoint), tmp_path_factory.mktemp("on-space"))
    yield running
    running.process.terminate()
    running.process.wait(20)


@pytest.fixture
def page(browser, on_space):
    seen = Visit(browser, on_space.url, width=390)
    yield seen.page
    seen.page.close()


def sign_in(page, token):
    page.get_by_role("button", name=SIGN_IN).click()
    page.get_by_label("Token").fill(token)
    press(page, "Sign in")


def test_nothing_is_done_for_a_stranger(page, on_space, tiny_base):
    expect(page.get_by_text("Please sign in first")).to_be_visible()
    fill(page, tiny_base)
    for button in ("Estimate", "Train"):
        press(page, button)
        refused(page, "Please sign in first")
    assert not list(on_space.folder.glob("kira-training-*/run-*"))


def test_a_visitor_signs_in_sees_what_is_theirs_and_signs_out(page, hub, tiny_base, tmp_path):
    (tmp_path / "data").mkdir()
    rows = [{"ask": f"What is sign {n}?", "say": f"Sign {n} is one."} for n in range(5)]
    (tmp_path / "data" / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    hub.python("-c", "import sys; from huggingface_hub import HfApi; api = HfApi(); "
               "api.create_repo('visitor/own', repo_type='dataset', private=True); "
               "api.upload_folder(repo_id='visitor/own', repo_type='dataset', folder_path=sys.argv[1])", tmp_path,
               token="of-a-visitor")

    def look():
        page.get_by_label("Name a Hub dataset").check()
        page.get_by_placeholder("OWNER/NAME").fill("visitor/own")
        press(page, "Look at it")

    look()
    refused(page, "Please sign in first")
    sign_in(page, "guessed")
    expect(page.get_by_role("alert")).to_contain_text("No account of this Hub has that token.")
    page.get_by_label("Token").fill("of-a-visitor")
    press(page, "Sign in")
    expect(page.get_by_text("as visitor")).to_be_visible()
    look()
    expect(page.get_by_role("region", name="Preview of the rows")).to_contain_text("What is sign 0?")
    page.get_by_role("button", name="visitor").click()  # Gradio's button to sign out bears the name
    expect(page.get_by_text("Please sign in first")).to_be_visible()
    look()
    refused(page, "Please sign in first")


@pytest.mark.slow
def test_what_a_visitor_trains_is_published_to_their_account(browser, hub, on_space, tiny_base):
    seen = Visit(browser, on_space.url)
    page = seen.page
    sign_in(page, "of-a-visitor")
    expect(page.get_by_text("as visitor")).to_be_visible()
    fill(page, tiny_base, **QUICK)
    press(page, "Train")
    expect(status(page)).to_contain_text("Nothing is published yet", timeout=280_000)
    stranger = Visit(browser, on_space.url)
    sign_in(stranger.page, "local-write")
    expect(stranger.page.get_by_text("as kira")).to_be_visible()
    expect(status(stranger.page)).to_contain_text("Nothing is running")  # another's run is not theirs to see
    page.get_by_label("I may publish these rows").check()
    press(page, "Publish to my account")
    expect(status(page)).to_contain_text("Published", timeout=280_000)
    for kind, name in (("models", "my-first-lora"), ("datasets", "my-first-split")):
        with urllib.request.urlopen(f"{hub.endpoint}/api/{kind}/visitor/{name}") as answer:
            assert json.load(answer)["author"] == "visitor"
    assert "of-a-visitor" not in on_space.log_path.read_text()
