"""The refresh token as a cookie that no script of the page can read."""

from __future__ import annotations

from datetime import timedelta

from starlette.requests import Request
from starlette.responses import Response

from hustlex.errors import ConfigurationError
from hustlex.web.origins import same_origin
from hustlex.web.problem import Problem

_PREFIX = "__Host-"


class RefreshCookie:
    """name: must start with ``__Host-``, so that browsers hold it to this host, HTTPS and the path ``/``.

    SameSite is strict: another site's page cannot make a browser send it.
    """

    def __init__(self, name: str) -> None:
        if not name.startswith(_PREFIX) or len(name) == len(_PREFIX):
            raise ConfigurationError("a refresh cookie's name must start with __Host-", hint="as __Host-refresh")
        self._name = name

    def read(self, request: Request) -> str:
        """The token, or "". 403 when a page of another origin made the browser send it: SameSite takes neighbours below
        one domain for the same site."""
        token = request.cookies.get(self._name, "")
        if token and not same_origin(request):
            raise Problem(403, detail="This was sent by a page of another origin.", members={"error": "wrong_origin"})
        return token

    def put(self, response: Response, token: str, life: timedelta) -> None:
        """Hand a token over. life: at most until its session's absolute end."""
        response.set_cookie(
            self._name, token, max_age=life // timedelta(seconds=1), path="/", secure=True, httponly=True,
            samesite="strict",
        )  # fmt: skip

    def cleared(self) -> dict[str, str]:
        """The header that makes a browser forget it."""
        response = Response()
        response.delete_cookie(self._name, path="/", secure=True, httponly=True, samesite="strict")
        return {"Set-Cookie": response.headers["set-cookie"]}
