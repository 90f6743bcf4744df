"""What a route asks for: the front, and the user behind a token."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Depends
from fastapi.dependencies.utils import get_dependant, solve_dependencies
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPBearer
from starlette.requests import HTTPConnection

from hustlex.app import HustleX
from hustlex.core import check
from hustlex.core.logs import logger
from hustlex.errors import ConfigurationError
from hustlex.tokens import Access, BadProof, Mode, Rejected
from hustlex.web.origins import host_of, origins_of
from hustlex.web.problem import Problem
from hustlex.web.rights import ShownToken, keep_shown, shown_in
from hustlex.web.routing import OUTERMOST, serving


class Marked(HTTPBearer):
    """Says in the OpenAPI document that a token is wanted."""

    __globals__ = globals()  # where older FastAPI looks for what the annotations of an object name

    def __init__(self) -> None:
        about = "An access token from /auth/otp/verify."
        super().__init__(auto_error=False, bearerFormat="JWT", scheme_name="HTTPBearer", description=about)


class _Shown(Marked):
    """Nothing else. FastAPI's own class cannot be called for a WebSocket."""

    async def __call__(self, _: HTTPConnection) -> None:
        return None


_shown = _Shown()
_PROVED = "hustlex.proved"
_ALGORITHMS = "ES256 EdDSA RS256"
_log = logger("hustlex.web")


def front_of(scope: MutableMapping[str, Any], app: Any = None) -> HustleX:
    """The front of the application that a request is in, else of the one it came to. Raises ConfigurationError."""
    front = _front_at(scope.get("app")) or _front_at(scope.get(OUTERMOST)) or _front_at(app)
    if front is None:
        raise ConfigurationError("this app has no HustleX", hint="FastAPI(lifespan=hustlex.web.lifespan(...))")
    return front


def _front_at(app: Any) -> HustleX | None:
    front = getattr(getattr(app, "state", None), "hustlex", None)
    return front if isinstance(front, HustleX) else None


async def get_hustlex(connection: HTTPConnection) -> HustleX:
    """The app's front. Raises ConfigurationError when the app was started without ``lifespan``."""
    return front_of(connection.scope)


Front = Annotated[HustleX, Depends(get_hustlex)]


def overridden(connection: HTTPConnection, *dependencies: Any) -> bool:
    """Whether a test has put something in the place of one of these (``app.dependency_overrides``). Only a route has
    dependencies: a middleware, which stands before it, asks the real ones."""
    overrides: Any = getattr(connection.scope.get("app"), "dependency_overrides", None)
    return bool(overrides) and "route" in connection.scope and any(each in overrides for each in dependencies)


async def asked(connection: HTTPConnection, dependency: Any) -> Any:
    """What FastAPI makes of a dependency, overridden ones too. Elsewhere ours ask each other themselves: a
    sub-dependency costs FastAPI 15 to 50 us for each request, most checks cost less."""

    async def wanted(answer: Any = Depends(dependency)) -> Any:
        return answer

    async with AsyncExitStack() as stack:
        solved = await solve_dependencies(
            request=connection,  # type: ignore[arg-type]
            dependant=get_dependant(path=getattr(serving(connection.scope), "path_format", ""), call=wanted),
            dependency_overrides_provider=connection.scope.get("app"),
            async_exit_stack=stack,
            embed_body_fields=False,
        )
        if solved.errors:
            raise RequestValidationError(solved.errors)
        return solved.values["answer"]


async def front_for(connection: HTTPConnection) -> HustleX:
    """As ``Front``, without a sub-dependency. Raises ConfigurationError."""
    if overridden(connection, get_hustlex):
        front: HustleX = await asked(connection, get_hustlex)
        return front
    return front_of(connection.scope)


Bearer = Annotated[None, Depends(_shown)]
"""Only for the OpenAPI document; the token is read by ``shown_token``."""


def unauthorized(error: str = "", scheme: str = "Bearer", **more: str) -> Problem:
    """401 with one text for every reason. error: "invalid_token" when a token was shown (RFC 6750 section 3.1)."""
    members = ({"error": error} if error else {}) | more
    challenge = ", ".join(f'{name}="{value}"' for name, value in members.items())
    return Problem(401, detail="Log in to go on.", headers={"WWW-Authenticate": f"{scheme} {challenge}".rstrip()})


def shown_token(connection: HTTPConnection) -> tuple[str, str]:
    """Scheme (in lower case) and token of the Authorization header; two times "" without one."""
    for name, value in connection.scope["headers"]:  # the first of several, as Starlette's Headers has it
        if name == b"authorization":
            scheme, _, token = value.decode("latin-1").partition(" ")
            return scheme.lower(), token.strip()
    return "", ""


async def proved_key(connection: HTTPConnection, front: Front) -> str:
    """The key that the request's DPoP header proves (RFC 9449), "" without one. 400 when the proof does not count."""
    if "dpop" not in connection.headers:
        return ""
    jkt = await _prove(connection, front, "")
    if not jkt:
        raise Problem(400, detail="The proof does not count.", members={"error": "invalid_dpop_proof"})
    return jkt


ProvedKey = Annotated[str, Depends(proved_key)]


async def _prove(connection: HTTPConnection, front: HustleX, access: str) -> str:
    """ "" when the proof does not count. Its URL must be of an own origin, see ``install``. A proof counts once; all
    dependencies of one request that ask for it share the answer."""
    answers: dict[str, str] = connection.scope.setdefault(_PROVED, {})
    if access not in answers:
        answers[access] = await _prove_once(connection, front, access)
    return answers[access]


async def _prove_once(connection: HTTPConnection, front: HustleX, access: str) -> str:
    proofs = connection.headers.getlist("dpop")
    if len(proofs) != 1:
        return ""
    url = _url(connection)
    if not url:
        return ""
    method = connection.scope.get("method", "GET")
    proven = await front.tokens.prove(proofs[0], method, url, access=access)
    if isinstance(proven, BadProof):
        _log.info("proof refused: %s", proven.flaw)
        return ""
    return proven.jkt


def _url(connection: HTTPConnection) -> str:
    """As the client wrote it: what a Host or forwarded header says of the origin is not believed, and Starlette's own
    has the path unescaped, so ``/a%20b`` and ``/a%2Fb`` do not show. "" when the origin is not known."""
    known = origins_of(connection.scope)
    if not known.own:
        _log.error("a proof of a key does not count: pass origins=['https://...'] to hustlex.web.install")
    origin = known.of(host_of(connection.scope))
    path = connection.scope.get("raw_path", b"").decode("latin-1") or quote(connection.scope["path"])
    return origin and origin + path


def checked(mode: Mode) -> CheckedUser:
    """``Annotated[Access, Depends(checked("stateless"))]``: the access behind a request's token; see ``Tokens.check``.

    401 without a good token; a token that is bound to a key is good with the DPoP scheme and a fresh proof only.
    503, not 401, when the server cannot be asked: the client must keep its tokens. Raises Misuse.
    """
    check.one_of("mode", mode, ("stateless", "bounded", "strict"))
    return CheckedUser(mode)


class CheckedUser(Marked):
    """One dependency, mark and all: as three of them FastAPI's part cost ten times the check."""

    def __init__(self, mode: Mode) -> None:
        super().__init__()
        self._mode: Mode = mode
        self._found = f"hustlex.found.{mode}"

    async def __call__(self, connection: HTTPConnection) -> Access:  # type: ignore[override]
        """The access behind the request's token; what ``ask`` has just found is handed over, once."""
        found: Access | None = connection.scope.pop(self._found, None)
        if found is not None:
            return found
        other = overridden(connection, get_hustlex)
        return await self._check(connection, await front_for(connection) if other else front_of(connection.scope))

    async def ask(self, connection: HTTPConnection) -> Access:
        """The same for another dependency of ours; the route's own, before or after it, is not checked again."""
        if overridden(connection, self):
            access: Access = await asked(connection, self)
            return access
        front, shown = await front_for(connection), shown_in(connection.scope)
        if shown is not None and shown.is_of(front, shown_token(connection)[1], self._mode):
            return shown.access
        found = connection.scope[self._found] = await self._check(connection, front)
        return found

    async def _check(self, connection: HTTPConnection, front: HustleX) -> Access:
        scheme, token = shown_token(connection)
        if scheme not in ("bearer", "dpop") or not token:
            raise unauthorized()
        jkt = await _prove(connection, front, token) if scheme == "dpop" else ""
        if scheme == "dpop" and not jkt:
            raise unauthorized("invalid_dpop_proof", "DPoP", algs=_ALGORITHMS)
        answer = await front.tokens.check(token, mode=self._mode, jkt=jkt)
        if isinstance(answer, Rejected):
            _log.info("access refused: %s %s", answer.reason, answer.detail)
            raise unauthorized("invalid_token", "DPoP" if scheme == "dpop" else "Bearer")
        keep_shown(connection, ShownToken(front, token, jkt, answer, self._mode))
        return answer


current_user = checked("bounded")
strict_user = checked("strict")

CurrentUser = Annotated[Access, Depends(current_user)]
"""``async def me(user: CurrentUser)``: only for logged-in users; ``user.user_id`` says who. No round trip: what was
revoked is seen within ``TokenOptions.staleness``."""

StrictUser = Annotated[Access, Depends(strict_user)]
"""The same, asking the server each time: for money, PINs and administration."""


def recently(within: timedelta) -> Callable[..., Awaitable[Access]]:
    """A strict user who logged in at most this long ago; 401 ``insufficient_user_authentication`` (RFC 9470) else.
    Raises Misuse."""
    check.duration("within", within)

    async def user(connection: HTTPConnection, access: StrictUser) -> Access:
        front = await front_for(connection)
        if front.tokens.now() - access.authenticated_at > within:
            raise unauthorized("insufficient_user_authentication", max_age=str(within // timedelta(seconds=1)))
        return access

    return user
