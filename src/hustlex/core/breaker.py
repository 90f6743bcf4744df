"""A circuit breaker: after too many failures nobody touches the server for a while. Pure: it is told the time."""

from __future__ import annotations

from random import random

import msgspec

from hustlex.core import bounds, check
from hustlex.errors import ConfigurationError

_LATEST = 1.2


class BreakerOptions(msgspec.Struct, frozen=True, kw_only=True):
    """When calls leave the server alone, and how they come back to it. Raises ConfigurationError."""

    failures: int = 5
    """It opens after so many in a row."""
    share: float = 0.5
    """It opens when this share of the calls within ``window_s`` failed, above 0 to 1."""
    calls: int = 20
    """Calls within ``window_s`` before the share counts."""
    window_s: float = 10.0
    """Seconds over which calls are counted."""
    probe_s: float = 1.0
    """While it is open one probe is let through each so many seconds, give or take 20 %."""
    probes: int = 3
    """Good probes in a row that close it."""

    def __post_init__(self) -> None:
        for name in ("failures", "calls", "probes"):
            bounds.within(name, getattr(self, name), 1, 1_000_000_000)
        with bounds.options():
            check.number("share", self.share, 0, 1)
            check.number("window_s", self.window_s, 0.001, 86_400)
            check.number("probe_s", self.probe_s, 0.001, 86_400)
        if not self.share:
            raise ConfigurationError("share cannot be 0", hint="pass a part of the calls, as 0.5")


class Breaker:
    """closed (all calls pass) -> open (probes only) -> closed. Times are seconds of one clock; where it goes
    back, a probe is due at once.

    quiet: nothing failed lately; then ``succeeded`` need not be called, which keeps it out of the usual path.
    """

    def __init__(self, options: BreakerOptions) -> None:
        self._options = options
        self.quiet = True
        self.open = False
        self._in_a_row = self._bad = self._good = self._probed = 0
        self._since = self._next_probe = 0.0

    def allows(self, now: float) -> bool:
        """Whether a call may be made; while open, True for one caller per probe interval."""
        if not self.open:
            return True
        if 0 < self._next_probe - now <= _LATEST * self._options.probe_s:
            return False
        self._plan_probe(now)
        return True

    def succeeded(self, now: float) -> None:
        """A call was answered."""
        self._in_a_row = 0
        if self.open:
            self._probed += 1
            if self._probed >= self._options.probes:
                self.open = False
                self._forget(now)
                self.quiet = True
        elif now - self._since >= self._options.window_s:
            self.quiet = True
            self._forget(now)
        else:
            self._good += 1

    def failed(self, now: float) -> None:
        """A call was not answered."""
        if self.quiet or now - self._since >= self._options.window_s:
            in_a_row = self._in_a_row
            self._forget(now)
            self._in_a_row = 0 if self.quiet else in_a_row
        self.quiet = False
        self._bad += 1
        self._in_a_row += 1
        self._probed = 0
        if not self.open and self._tripped():
            self.open = True
            self._plan_probe(now)

    def _tripped(self) -> bool:
        limits, calls = self._options, self._bad + self._good
        return self._in_a_row >= limits.failures or (calls >= limits.calls and self._bad >= limits.share * calls)

    def _plan_probe(self, now: float) -> None:
        self._next_probe = now + self._options.probe_s * (_LATEST - 0.4 * random())

    def _forget(self, now: float) -> None:
        self._in_a_row = self._bad = self._good = self._probed = 0
        self._since = now
