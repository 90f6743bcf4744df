"""A poll on Django: the cache backend, the session engine, limits and jobs, all on one Redis, by the blocking client.

python -m examples.run django_polls      a server, the site on port 8000, a worker
python -m examples.visit django_polls    somebody who votes, step by step; or open the page
"""

import os
from pathlib import Path

HUSTLEX_URL = os.environ.get("HUSTLEX_URL", "redis://localhost:6379/0")
HUSTLEX_SECRET = os.environ.get("HUSTLEX_SECRET")
DATA = Path(os.environ.get("HUSTLEX_DATA", "."))

CACHES = {"default": {"BACKEND": "hustlex.django.cache.HustlexCache", "LOCATION": HUSTLEX_URL}}
SESSION_ENGINE = "hustlex.django.sessions"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": DATA / "polls.db"}}
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "hustlex.django.HustlexMiddleware",
]
INSTALLED_APPS = ["examples.django_polls"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
ROOT_URLCONF = "examples.django_polls.views"
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
SECRET_KEY = os.environ.get("DJANGO_SECRET_KEY", "of this example alone, not of a site that people use")
USE_TZ = True
