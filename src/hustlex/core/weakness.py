"""Secrets that are long enough, and yet anybody's first guess."""

from __future__ import annotations

import re
from itertools import pairwise

from hustlex.errors import ConfigurationError

_FEWEST = 8
_PLACEHOLDERS = (
    *("changeme", "changethis", "replaceme", "replacethis", "placeholder", "yoursecret", "secretkey", "supersecret"),
    *("topsecret", "password", "insecure", "example", "developmentonly", "donotuse"),
)
_HINT = "make one with: python -c 'import secrets; print(secrets.token_hex(32))'"


def refuse_guessable(secret: str) -> None:
    """Raise ConfigurationError for a secret of few characters, one that repeats or counts, and for placeholders."""
    if len(set(secret)) < _FEWEST:
        raise ConfigurationError(f"the secret has only {len(set(secret))} different characters", hint=_HINT)
    if _repeats(secret):
        raise ConfigurationError("the secret repeats a shorter text", hint=_HINT)
    if _counts(secret):
        raise ConfigurationError("the secret is a row of neighbours, as abcdef", hint=_HINT)
    letters = re.sub(r"[^a-z]", "", secret.lower())
    if any(word in letters for word in _PLACEHOLDERS):
        raise ConfigurationError("the secret looks like a placeholder", hint=_HINT)


def _repeats(secret: str) -> bool:
    return any((secret[:size] * len(secret))[: len(secret)] == secret for size in range(1, len(secret) // 2 + 1))


def _counts(secret: str) -> bool:
    steps = [ord(right) - ord(left) for left, right in pairwise(secret)]
    return max(steps.count(1), steps.count(-1)) * 4 > len(steps) * 3
