"""Which endpoints may never be without a limit."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hustlex.errors import ConfigurationError
from hustlex.ratelimit.policy.policy import Policy

_SENSITIVE = re.compile(
    r"(?<![a-z])(otp|log-?in|sign-?in|auth|pin|passwords?|pay|payments?|transfers?|withdraw|withdrawals?)(?![a-z])",
    re.IGNORECASE,
)


def refuse_open(policies: Sequence[Policy], endpoint: str) -> None:
    """Raises ConfigurationError when a limit of a login or a payment would let calls through without the server."""
    if any(policy.on_error == "open" for policy in policies) and _SENSITIVE.search(endpoint):
        raise ConfigurationError(
            f"a limit of {endpoint} may not let calls through when the server is away",
            hint="use on_error='local' or 'closed'",
        )
