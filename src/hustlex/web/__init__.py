"""The FastAPI door (``pip install 'hustlex[web]'``): the front in an app, users, limits, login, events, problems."""

from hustlex.web.auth import auth_router
from hustlex.web.depends import CurrentUser, Front, current_user, get_hustlex
from hustlex.web.lifespan import install, lifespan
from hustlex.web.limit_asgi import RateLimitMiddleware, SocketLimits
from hustlex.web.limits import RateLimit, by_ip, by_user, globally, route_policies, unlimited
from hustlex.web.problem import Problem, install_problems, problem_of
from hustlex.web.sse import end_streams, sse_response

__all__ = [
    "CurrentUser",
    "Front",
    "Problem",
    "RateLimit",
    "RateLimitMiddleware",
    "SocketLimits",
    "auth_router",
    "by_ip",
    "by_user",
    "current_user",
    "end_streams",
    "get_hustlex",
    "globally",
    "install",
    "install_problems",
    "lifespan",
    "problem_of",
    "route_policies",
    "sse_response",
    "unlimited",
]
