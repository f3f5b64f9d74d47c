"""Sign-in with an account of this Hub (OAuth 2.0's authorization code with OpenID Connect), as Spaces use it.

Whoever signs in pastes a token, once, on the Hub's own page; the app gets that token for the code in its redirect. A
local Hub registers no apps: any on this machine may ask, and is known by the address to which its visitor returns.
"""

import secrets
import time
from base64 import b64decode
from threading import Lock
from urllib.parse import unquote, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from localhub.call import Call
from localhub.errors import Forbidden, Invalid, NotFound, Unauthorized
from localhub.pages import HEADERS, POLICY, templates
from localhub.tokens import Tokens, User

PATHS = (".well-known", "oauth")
THIS_MACHINE = ("127.0.0.1", "localhost")
CODE_S, SESSION_S = 60, 8 * 3600  # a code is fetched at once; huggingface.co's sign-in lasts eight hours by default
ASKED = ("client_id", "redirect_uri", "response_type", "scope", "state", "nonce")


class SignIn:
    """Codes that wait to be fetched, in memory: a restart ends no session, only a sign-in under way."""

    def __init__(self, tokens: Tokens):
        self.tokens, self.lock, self.codes = tokens, Lock(), {}
        self.key = RSAKey.generate_key(2048, {"use": "sig", "alg": "RS256"}, auto_kid=True)

    def answer(self, call: Call, authorization: str | None) -> Response:
        handlers = {
            ("GET", ".well-known/openid-configuration"): self.about,
            ("GET", "oauth/jwks"): lambda call: JSONResponse(KeySet([self.key]).as_dict(private=False)),
            ("GET", "oauth/authorize"): self.ask,
            ("POST", "oauth/authorize"): self.grant,
            ("POST", "oauth/token"): lambda call: self.exchange(call, authorization),
            ("GET", "oauth/userinfo"): lambda call: JSONResponse(claims(call, self.tokens.user(authorization))),
        }
        if handler := handlers.get((call.method, "/".join(call.segments))):
            return handler(call)
        raise NotFound("This Hub has no such endpoint")

    def about(self, call: Call) -> JSONResponse:
        places = {"authorization": "authorize", "token": "token", "userinfo": "userinfo"}
        return JSONResponse({
            "issuer": call.endpoint, "jwks_uri": f"{call.endpoint}/oauth/jwks",
            **{f"{name}_endpoint": f"{call.endpoint}/oauth/{path}" for name, path in places.items()},
            "response_types_supported": ["code"], "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"], "scopes_supported": ["openid", "profile"],
        })

    def ask(self, call: Call, problem: str = "") -> HTMLResponse:
        """The page on which a person says who they are."""
        asked = asked_of(call.query)
        host = urlsplit(asked["redirect_uri"])
        # A browser holds the redirect that answers a form to form-action, too.
        policy = POLICY.replace("form-action 'none'", f"form-action 'self' {host.scheme}://{host.netloc}")
        page = templates.get_template("sign_in.html").render(asked=asked, host=host.netloc, problem=problem)
        return HTMLResponse(page, 401 if problem else 200, HEADERS | {"Content-Security-Policy": policy})

    def grant(self, call: Call) -> Response:
        asked, token = asked_of(call.query), call.form().get("token", [""])[0]
        try:
            user = self.tokens.user(f"Bearer {token}")
        except Unauthorized:
            user = None
        if user is None:
            return self.ask(call, "No account of this Hub has that token.")
        code, now = secrets.token_urlsafe(24), time.monotonic()
        with self.lock:
            self.codes = {c: waiting for c, waiting in self.codes.items() if waiting["until"] > now}
            self.codes[code] = asked | {"token": token.strip(), "until": now + CODE_S}
        separator = "&" if urlsplit(asked["redirect_uri"]).query else "?"
        back = urlencode({"code": code, "state": asked["state"]})
        return RedirectResponse(f"{asked['redirect_uri']}{separator}{back}", 303, HEADERS)

    def exchange(self, call: Call, authorization: str | None) -> JSONResponse:
        """The token for a code, once, to the app that asked for it."""
        sent = {name: values[0] for name, values in call.form().items()}
        with self.lock:
            waiting = self.codes.pop(sent.get("code"), None)
        app = (client_of(authorization) or sent.get("client_id"), sent.get("redirect_uri"))
        if (waiting is None or waiting["until"] < time.monotonic() or sent.get("grant_type") != "authorization_code"
                or app != (waiting["client_id"], waiting["redirect_uri"])):
            return JSONResponse({"error": "invalid_grant"}, 400)
        user, now = self.tokens.user(f"Bearer {waiting['token']}"), int(time.time())
        told = claims(call, user) | {"iss": call.endpoint, "aud": waiting["client_id"], "iat": now,
                                     "exp": now + SESSION_S, "nonce": waiting["nonce"]}
        id_token = jwt.encode({"alg": "RS256", "kid": self.key.kid}, told, self.key)
        return JSONResponse({"access_token": waiting["token"], "token_type": "bearer", "expires_in": SESSION_S,
                             "scope": waiting["scope"], "id_token": id_token}, headers={"Cache-Control": "no-store"})


def asked_of(query) -> dict[str, str]:
    """What the app asks; raises Invalid for what this Hub has not, Forbidden for an app elsewhere."""
    asked = {name: query.get(name, "") for name in ASKED}
    if asked["response_type"] != "code" or not asked["client_id"]:
        raise Invalid("Sign-in here needs a client_id and the response_type code")
    address = urlsplit(asked["redirect_uri"])
    if address.scheme not in ("http", "https") or address.hostname not in THIS_MACHINE:
        raise Forbidden("A token of a local Hub is handed to apps on this machine only")
    return asked


def client_of(authorization: str | None) -> str | None:
    """The client's id in a header of HTTP Basic; the secret beside it was never registered here."""
    scheme, _, value = (authorization or "").partition(" ")
    try:
        return unquote(b64decode(value).decode().split(":")[0]) if scheme.lower() == "basic" else None
    except ValueError:
        return None


def claims(call: Call, user: User | None) -> dict:
    if user is None:
        raise Unauthorized("Invalid username or password.")
    return {"sub": user.name, "name": user.full_name, "preferred_username": user.name, "isPro": False,
            "profile": f"{call.endpoint}/{user.name}", "picture": ""}
