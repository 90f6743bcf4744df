"""What a check says, and all of them together."""

from __future__ import annotations

from typing import Literal

import msgspec

Role = Literal["state", "cache", "process"]
Level = Literal["ok", "info", "warn", "fail", "unknown"]


class DoctorFinding(msgspec.Struct, frozen=True):
    """What one check found."""

    role: Role
    """Which server: the one of the state, or the one of the cache; or a process that was asked for its health."""
    check: str
    """The check's name, one of the guide's table."""
    level: Level
    """info: worth knowing, nothing is wrong. unknown: the server did not let us look, or does not say."""
    detail: str
    """What was measured."""
    hint: str = ""
    """What to do, when the level is not "ok"."""
    node: str = ""
    """Of a cluster: its address."""
    limit: str = ""
    """From where on the check speaks, when the level is not "ok"."""
    why: str = ""
    """What comes of it, when the level is not "ok"."""


class Checkup(msgspec.Struct, frozen=True):
    """All findings, the state server's first."""

    findings: tuple[DoctorFinding, ...]
    unsafe_eviction: bool
    """Whether the state server may drop what rights and payments depend on."""
    left_out: int = 0
    """Nodes of clusters that a brief check did not ask."""

    @property
    def ok(self) -> bool:
        """Whether nothing failed; there may be warnings."""
        return all(finding.level != "fail" for finding in self.findings)

    @property
    def clean(self) -> bool:
        """Whether nothing failed and there is no warning, and nothing unknown."""
        return all(finding.level in ("ok", "info") for finding in self.findings)
