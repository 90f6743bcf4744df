"""Events that providers send: whether one is genuine, and how long they repeat it."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Literal

import msgspec

from hustlex.core import bounds, check
from hustlex.core.keys import component
from hustlex.core.time import positive_ms
from hustlex.errors import ConfigurationError

_DASHBOARD = "the provider's dashboard shows it"

Verify = Callable[[bytes, Mapping[str, str]], bool]
"""Whether a body is the provider's, given the request's headers (names in lower case). Compares in constant time."""


def hmac_signature(
    header: str, *secrets: str | bytes, digest: Literal["sha512", "sha256"] = "sha512", prefix: str = ""
) -> Verify:
    """HMAC of the raw body in hex, in a header: ``hmac_signature("x-paystack-signature", secret)``.

    secrets: the provider's; more than one while it is being changed. digest: Paystack signs with SHA-512, most others
    with SHA-256. prefix: before the hex digits, as ``sha256=``. Raises ConfigurationError without a secret.
    """
    with bounds.options():
        keys = [check.secret("a webhook's secret", secret) for secret in secrets]
        check.one_of("digest", digest, ("sha512", "sha256"))
        name, prefix = check.text("header", header).lower(), check.text("prefix", prefix, blank=True)
    if not keys:
        raise ConfigurationError("a webhook's signature needs a secret", hint=_DASHBOARD)

    def verify(body: bytes, headers: Mapping[str, str]) -> bool:
        given = headers.get(name, "").encode("utf-8", "replace")
        wanted = [prefix.lower().encode() + hmac.digest(key, body, digest).hex().encode() for key in keys]
        good = [hmac.compare_digest(given.lower(), each) for each in wanted]  # all of them: no secret answers sooner
        return any(good)

    return verify


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """Who sends events. Raises Misuse, ConfigurationError."""

    name: str
    """Stands in key names."""
    verify: Verify
    """Says whether a body and its headers are the provider's; see Verify."""
    lease: timedelta = timedelta(seconds=60)
    """How long handling that does not renew it counts as alive (``verify_webhook`` and ``hold`` renew); then a
    repeat begins anew."""
    ttl: timedelta = timedelta(days=7)
    """How long an event is remembered: the provider's last repeat and a day."""

    def __post_init__(self) -> None:
        with bounds.options():
            component(check.text("name", self.name))
            check.function("verify", self.verify)
            check.duration("lease", self.lease, timedelta(milliseconds=1))
            check.duration("ttl", self.ttl, timedelta(milliseconds=1))
        if not 0 < self.lease_ms < self.ttl_ms:
            raise ConfigurationError("an event's lease must be shorter than its ttl")

    def __repr__(self) -> str:
        return f"Provider({self.name!r})"

    @property
    def lease_ms(self) -> int:
        """The lease in milliseconds."""
        return positive_ms("lease", self.lease)

    @property
    def ttl_ms(self) -> int:
        """How long an event is remembered, in milliseconds."""
        return positive_ms("ttl", self.ttl)
