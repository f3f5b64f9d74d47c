"""Sign-in at the local Hub, by the OAuth client that Gradio uses, and by hand where an app would misbehave."""

import re
from urllib.parse import parse_qs, urlsplit

import pytest
from authlib.integrations.httpx_client import OAuth2Client
from hub import bearer
from joserfc import jwt
from joserfc.jwk import KeySet

BACK = "http://127.0.0.1:9/login/callback?_target_url=%2F"


@pytest.fixture
def app(hub):
    return OAuth2Client("an-app", "a-secret", scope="openid profile", redirect_uri=BACK, trust_env=False)


def asked(hub, app, **more):
    about = hub.http.get("/.well-known/openid-configuration").json()
    return about, *app.create_authorization_url(about["authorization_endpoint"], nonce="a-nonce", **more)


def sign_in(hub, url, token):
    page = hub.http.get(url)
    assert "form-action 'self' http://127.0.0.1:9;" in page.headers["content-security-policy"]
    action = re.search('action="([^"]+)"', page.text)[1].replace("&amp;", "&")
    return hub.http.post(action, data={"token": token}, follow_redirects=False)


def test_an_app_acts_for_whoever_signed_in(hub, app):
    about, url, state = asked(hub, app)
    back = sign_in(hub, url, "other-write").headers["location"]
    assert back.startswith(BACK + "&") and parse_qs(urlsplit(back).query)["state"] == [state]
    told = app.fetch_token(about["token_endpoint"], authorization_response=back, state=state)
    assert hub.api(told["access_token"]).whoami()["name"] == "other"
    keys = KeySet.import_key_set(hub.http.get(about["jwks_uri"]).json())
    claims = jwt.decode(told["id_token"], keys).claims
    assert claims["preferred_username"] == "other" and claims["nonce"] == "a-nonce"
    assert (claims["iss"], claims["aud"]) == (about["issuer"], "an-app") and not keys.keys[0].is_private
    who = hub.http.get(about["userinfo_endpoint"], headers=bearer("other-write")).json()
    assert who.items() <= claims.items()


def test_a_code_serves_once_and_only_the_app_that_asked(hub, app):
    about, url, state = asked(hub, app)
    codes = [parse_qs(urlsplit(sign_in(hub, url, "other-write").headers["location"]).query)["code"][0] for _ in "12"]
    form = {"grant_type": "authorization_code", "redirect_uri": BACK, "client_id": "an-app"}

    def exchange(**changes):
        return hub.http.post(about["token_endpoint"], data=form | changes)

    assert exchange(code=codes[0], client_id="another").json() == {"error": "invalid_grant"}
    assert exchange(code=codes[0]).status_code == 400  # a code shown by the wrong app is spent
    assert exchange(code=codes[1]).json()["access_token"] == "other-write"
    assert exchange(code=codes[1]).status_code == 400
    assert exchange().status_code == 400


def test_a_token_that_nobody_has_signs_nobody_in(hub, app):
    _, url, _ = asked(hub, app)
    for token in ("guessed", "", " "):
        refused = sign_in(hub, url, token)
        assert refused.status_code == 401 and "No account of this Hub has that token." in refused.text


@pytest.mark.parametrize("elsewhere", ["http://example.com/back", "javascript:alert(1)", "//example.com", "",
                                       "http://127.0.0.1.example.com", "http://user@example.com/?127.0.0.1"])
def test_no_token_leaves_this_machine(hub, app, elsewhere):
    about, _, _ = asked(hub, app)
    question = {"client_id": "an-app", "response_type": "code", "redirect_uri": elsewhere}
    for send in (hub.http.get, hub.http.post):
        refused = send(about["authorization_endpoint"], params=question)
        assert refused.status_code == 403 and "apps on this machine only" in refused.text


def test_what_is_asked_stays_text_on_the_page(hub, app):
    _, url, _ = asked(hub, app, state='"><script>alert(1)</script>')
    assert "<script" not in hub.http.get(url).text
