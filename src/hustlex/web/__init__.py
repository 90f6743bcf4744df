"""The FastAPI door (``pip install 'hustlex[web]'``): the front in an app, users, limits, login, events, problems."""

from hustlex.web.auth import auth_router
from hustlex.web.codes import CodeIn, OtpCodes, Proof, client_ip
from hustlex.web.depends import CurrentUser, Front, current_user, get_hustlex
from hustlex.web.lifespan import install, lifespan
from hustlex.web.limits import by_ip, by_user, limit
from hustlex.web.problem import Problem, install_problems, problem_of
from hustlex.web.sse import end_streams, sse_response

__all__ = [
    "CodeIn",
    "CurrentUser",
    "Front",
    "OtpCodes",
    "Problem",
    "Proof",
    "auth_router",
    "by_ip",
    "by_user",
    "client_ip",
    "current_user",
    "end_streams",
    "get_hustlex",
    "install",
    "install_problems",
    "lifespan",
    "limit",
    "problem_of",
    "sse_response",
]
