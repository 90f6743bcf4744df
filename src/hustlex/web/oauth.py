"""For other services: is a token good (RFC 7662), end one (RFC 7009), and the keys that verify them (RFC 7517)."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from base64 import b64decode
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote_plus

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from hustlex.core import bounds, check
from hustlex.core.logs import logger
from hustlex.tokens import JWKS_MAX_AGE_S, Access, NotOurs
from hustlex.web.depends import Front
from hustlex.web.routing import path_prefix

_FORM = "application/x-www-form-urlencoded"
_LONGEST = 16_384
_SHORTEST_SECRET = 16
_NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
_FIELDS = {name: {"type": "string"} for name in ("token", "token_type_hint", "client_id", "client_secret")}
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {_FORM: {"schema": {"type": "object", "properties": _FIELDS, "required": ["token"]}}},
    }
}
_log = logger("hustlex.web")


class _Refused(Exception):
    """An OAuth error response."""

    def __init__(self, status: int, error: str, headers: Mapping[str, str] | None = None) -> None:
        self.response = JSONResponse({"error": error}, status, {**_NO_STORE, **(headers or {})})
        super().__init__(error)


def oauth_router(*, clients: Mapping[str, str], prefix: str = "/oauth") -> APIRouter:
    """POST /oauth/introspect, POST /oauth/revoke, GET /oauth/jwks.json.

    clients: who may ask, secret (at least 16 characters) by id; they authenticate with HTTP Basic, or with client_id
    and client_secret in the form. A client may revoke only tokens that were issued to it (``client_id`` of the login).
    Answers 503 with Retry-After when the server cannot be asked. Raises ConfigurationError for a short
    secret, or one that anybody would guess.
    """
    check.instance("clients", clients, Mapping, hint="pass a dict, id -> secret")
    for name, secret in clients.items():
        check.text("a client's id", name)
        with bounds.options():
            check.secret("a client's secret", check.text("a client's secret", secret), _SHORTEST_SECRET)
    endpoints = _Endpoints(clients)
    router = APIRouter(prefix=path_prefix(prefix), tags=["oauth"])
    router.add_api_route("/introspect", endpoints.introspect, methods=["POST"], openapi_extra=_BODY)
    router.add_api_route("/revoke", endpoints.revoke, methods=["POST"], openapi_extra=_BODY)
    router.add_api_route("/jwks.json", jwks, methods=["GET"])
    return router


async def jwks(front: Front) -> Response:
    """The public keys that verify access tokens."""
    return JSONResponse(await front.tokens.jwks(), headers={"Cache-Control": f"public, max-age={JWKS_MAX_AGE_S}"})


class _Endpoints:
    def __init__(self, clients: Mapping[str, str]) -> None:
        self._clients = {name: _digest(secret) for name, secret in clients.items()}
        self._nobody = secrets.token_bytes(32)

    async def introspect(self, request: Request, front: Front) -> Response:
        """Whether an access token is good right now, and what it says. All else is not active, whatever the reason."""
        try:
            _, token = await self._asked(request)
        except _Refused as refused:
            return refused.response
        answer = await front.tokens.introspect(token)
        return JSONResponse(_described(answer) if isinstance(answer, Access) else {"active": False}, headers=_NO_STORE)

    async def revoke(self, request: Request, front: Front) -> Response:
        """End a refresh token's session, or forbid an access token. 200 too when there was nothing to end."""
        try:
            client_id, token = await self._asked(request)
            answer = await front.tokens.revoke_token(token, client_id=client_id)
            if isinstance(answer, NotOurs) and answer.other_client:
                raise _Refused(400, "unauthorized_client")
        except _Refused as refused:
            return refused.response
        return Response(status_code=200, headers=_NO_STORE)

    async def _asked(self, request: Request) -> tuple[str, str]:
        """The client and the token. token_type_hint is not looked at: the two kinds cannot be confused."""
        form = await _form(request)
        client_id = self._client(request, form)
        if "token" not in form:
            raise _Refused(400, "invalid_request")
        return client_id, form["token"]

    def _client(self, request: Request, form: Mapping[str, str]) -> str:
        """Who asks. An unknown client takes as long as a wrong secret."""
        header = request.headers.get("authorization")
        name, secret = _basic(header) if header else (form.get("client_id", ""), form.get("client_secret", ""))
        if not hmac.compare_digest(_digest(secret), self._clients.get(name, self._nobody)):
            _log.info("an unknown client asked about a token")
            raise _Refused(401, "invalid_client", {"WWW-Authenticate": 'Basic realm="oauth"'})
        return name


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


async def _form(request: Request) -> dict[str, str]:
    """The body's fields, none twice (RFC 6749, 3.2)."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        raise _Refused(400, "invalid_request")
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LONGEST:
            raise _Refused(413, "invalid_request")
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, strict_parsing=bool(body), max_num_fields=20)
    except ValueError:
        raise _Refused(400, "invalid_request") from None
    form = dict(pairs)
    if len(form) != len(pairs):
        raise _Refused(400, "invalid_request")
    return form


def _basic(header: str) -> tuple[str, str]:
    """Name and secret of HTTP Basic, each form-encoded (RFC 6749, 2.3.1)."""
    scheme, _, text = header.partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        name, _, secret = b64decode(text.strip(), validate=True).decode().partition(":")
    except ValueError:
        return "", ""
    return unquote_plus(name), unquote_plus(secret)


def _described(access: Access) -> dict[str, Any]:
    claims: dict[str, Any] = {
        "active": True,
        "client_id": access.client_id,
        "sub": access.user_id,
        "sid": access.session_id,
        "jti": access.jti,
        "iat": int(access.issued_at.timestamp()),
        "exp": int(access.expires_at.timestamp()),
        "token_type": "DPoP" if access.jkt else "Bearer",
    }
    optional = {"scope": access.scope, "acr": access.acr, "cnf": {"jkt": access.jkt} if access.jkt else None}
    return claims | {name: value for name, value in optional.items() if value}
