"""The FastAPI door (``pip install 'hustlex[web]'``): the front in an app, users, limits, login, events, problems."""

from typing import TYPE_CHECKING, Any

from hustlex.core.extras import require

require("hustlex.web", "web", "fastapi")

from hustlex.web.addresses import client_ip
from hustlex.web.auth import auth_router
from hustlex.web.caching import CacheMiddleware, PageOptions, ResponseCache, tag_response
from hustlex.web.callers import by_ip, by_strict_user, by_user, globally
from hustlex.web.codes import CodeIn, OtpCodes, Proof
from hustlex.web.depends import (
    CurrentUser,
    Front,
    StrictUser,
    checked,
    current_user,
    get_hustlex,
    recently,
    strict_user,
)
from hustlex.web.doorman import SECURITY_HEADERS, body_limit
from hustlex.web.events import events_router
from hustlex.web.expose import Allow, Deny
from hustlex.web.health import health_router
from hustlex.web.idempotency import Idempotent, verify_webhook
from hustlex.web.lifespan import install, lifespan
from hustlex.web.limit_asgi import RateLimitMiddleware, SocketLimits
from hustlex.web.limits import RateLimit, route_policies, unlimited
from hustlex.web.metrics import metrics_router
from hustlex.web.oauth import jwks, oauth_router
from hustlex.web.pins import pin_ok
from hustlex.web.problem import Problem, install_problems, problem_of
from hustlex.web.replay import IdempotencyMiddleware, attach
from hustlex.web.rights import while_allowed
from hustlex.web.sessions import sessions_router
from hustlex.web.sse import end_streams, sse_response

if TYPE_CHECKING:
    from hustlex.web.progress import progress_response

__all__ = [
    "SECURITY_HEADERS",
    "Allow",
    "CacheMiddleware",
    "CodeIn",
    "CurrentUser",
    "Deny",
    "Front",
    "IdempotencyMiddleware",
    "Idempotent",
    "OtpCodes",
    "PageOptions",
    "Problem",
    "Proof",
    "RateLimit",
    "RateLimitMiddleware",
    "ResponseCache",
    "SocketLimits",
    "StrictUser",
    "attach",
    "auth_router",
    "body_limit",
    "by_ip",
    "by_strict_user",
    "by_user",
    "checked",
    "client_ip",
    "current_user",
    "end_streams",
    "events_router",
    "get_hustlex",
    "globally",
    "health_router",
    "install",
    "install_problems",
    "jwks",
    "lifespan",
    "metrics_router",
    "oauth_router",
    "pin_ok",
    "problem_of",
    "progress_response",
    "recently",
    "route_policies",
    "sessions_router",
    "sse_response",
    "strict_user",
    "tag_response",
    "unlimited",
    "verify_webhook",
    "while_allowed",
]


def __getattr__(name: str) -> Any:
    """Load what needs the room of jobs when it is first asked for: an application without jobs does not pay for it."""
    if name == "progress_response":
        from hustlex.web.progress import progress_response

        return progress_response
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
