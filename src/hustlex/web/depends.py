"""What a route asks for: the front, and the user behind a bearer token."""

from __future__ import annotations

import logging
from typing import Annotated

from fastapi import Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.requests import HTTPConnection

from hustlex.app import HustleX
from hustlex.errors import ConfigurationError
from hustlex.tokens import Access, Rejected
from hustlex.web.problem import Problem

_bearer = HTTPBearer(auto_error=False, bearerFormat="JWT", description="An access token from /auth/otp/verify.")
_log = logging.getLogger("hustlex.web")


def get_hustlex(connection: HTTPConnection) -> HustleX:
    """The app's front. Raises ConfigurationError when the app was started without ``lifespan``."""
    front = getattr(connection.app.state, "hustlex", None)
    if not isinstance(front, HustleX):
        raise ConfigurationError("this app has no HustleX", hint="FastAPI(lifespan=hustlex.web.lifespan(...))")
    return front


Front = Annotated[HustleX, Depends(get_hustlex)]
Bearer = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]


def unauthorized(error: str = "") -> Problem:
    """401 with one text for every reason. error: "invalid_token" when a token was shown (RFC 6750 section 3.1)."""
    challenge = f'Bearer error="{error}"' if error else "Bearer"
    return Problem(401, detail="Log in to go on.", headers={"WWW-Authenticate": challenge})


async def current_user(front: Front, bearer: Bearer) -> Access:
    """The access behind the bearer token, checked strictly: a logout or revocation is seen at once.

    401 without a good token. 503, not 401, when the server cannot be asked: the client must keep its tokens.
    """
    if bearer is None:
        raise unauthorized()
    answer = await front.tokens.check(bearer.credentials)
    if isinstance(answer, Rejected):
        _log.info("access refused: %s %s", answer.reason, answer.detail)
        raise unauthorized("invalid_token")
    return answer


CurrentUser = Annotated[Access, Depends(current_user)]
"""``async def me(user: CurrentUser)``: only for logged-in users; ``user.user_id`` says who."""
