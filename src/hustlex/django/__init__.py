"""The Django door (``pip install 'hustlex[django]'``): decorators, a cache backend and a session engine.

::

    # settings.py
    HUSTLEX_URL = "redis://localhost:6379/0"
    HUSTLEX_SECRET = os.environ["HUSTLEX_SECRET"]
    MIDDLEWARE = [..., "hustlex.django.HustlexMiddleware"]
    CACHES = {"default": {"BACKEND": "hustlex.django.cache.HustlexCache", "LOCATION": HUSTLEX_URL}}
    SESSION_ENGINE = "hustlex.django.sessions"

    # views.py
    @require_POST
    @login_required
    @rate_limit("5/minute per user")
    @idempotent
    def transfer(request): ...

``current_user(request)`` (also ``request.access``) is the logged-in user's ``hustlex.tokens.Access``.
Errors of this package become problems (RFC 9457).
"""

from hustlex.core.extras import require

require("hustlex.django", "django", "django")

from hustlex.django.views import HustlexMiddleware, current_user, front, idempotent, login_required, rate_limit

__all__ = ["HustlexMiddleware", "current_user", "front", "idempotent", "login_required", "rate_limit"]
