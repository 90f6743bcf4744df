"""What operators did, as the console wrote it down."""

from __future__ import annotations

import msgspec

from hustlex.core.op import Effect, Op, Reply, command


class AuditEntry(msgspec.Struct, frozen=True):
    """One thing that somebody did, or tried."""

    id: str
    """``<Unix ms>-<n>``: when it was written down."""
    fields: dict[str, str]


def notes(
    prefix: str, before: str, count: int, since_ms: int | None = None, until_ms: int | None = None
) -> Op[list[AuditEntry]]:
    """Entries of the audit, newest first. before: the id after which to go on, "" = from the newest. since_ms,
    until_ms: Unix times of the oldest and the newest."""
    key = audit_key(prefix)
    newest = f"({before}" if before else "+" if until_ms is None else str(until_ms)
    oldest = "-" if since_ms is None else str(since_ms)
    return command(
        "console.notes", Effect.READ, "XREVRANGE", key, newest, oldest, "COUNT", count,
        keys=(key,), decode=_entries,
    )  # fmt: skip


def audit_key(prefix: str) -> str:
    """The stream's key."""
    return f"{prefix}console:{{audit}}"


def _entries(reply: Reply) -> list[AuditEntry]:
    return [AuditEntry(entry.decode(), _pairs(fields)) for entry, fields in reply or ()]


def _pairs(fields: Reply) -> dict[str, str]:
    texts = [part.decode("utf-8", "replace") for part in fields]
    return dict(zip(texts[::2], texts[1::2], strict=True))
