"""What the console itself keeps in Redis: a key that signs its cookies and forms, tokens for signing in, the audit."""

from __future__ import annotations

import msgspec

from hustlex.core.op import Effect, Op, Reply, command

_MOST_ENTRIES = 20_000


class AuditEntry(msgspec.Struct, frozen=True):
    """One thing that somebody did, or tried."""

    id: str
    """``<Unix ms>-<n>``: when it was written down."""
    fields: dict[str, str]


def signing_key(prefix: str, fresh: bytes) -> Op[bytes]:
    """The key all consoles of this server sign with. fresh: becomes it when there is none yet."""
    key = f"{prefix}console:{{access}}:key"
    return command(
        "console.signing_key", Effect.IDEMPOTENT, "SET", key, fresh, "NX", "GET",
        keys=(key,), decode=lambda reply: bytes(reply) if reply else fresh,
    )  # fmt: skip


def keep_token(prefix: str, digest: str, operator: bytes, seconds: int) -> Op[None]:
    """A token that signs its bearer in once. digest: SHA-256 of it; the token itself is nowhere."""
    key = _token_key(prefix, digest)
    return command(
        "console.keep_token", Effect.IDEMPOTENT, "SET", key, operator, "EX", seconds, keys=(key,), decode=_nothing
    )


def take_token(prefix: str, digest: str) -> Op[bytes | None]:
    """Whose token it is, which is spent by that; None for one that is not known (any more)."""
    key = _token_key(prefix, digest)
    return command("console.take_token", Effect.ONCE, "GETDEL", key, keys=(key,), decode=_grant)


def note(prefix: str, fields: dict[str, str]) -> Op[str]:
    """Write one entry of the audit; answers its id. About the newest 20,000 are kept."""
    key = _audit_key(prefix)
    pairs = [part for pair in fields.items() for part in pair]
    return command(
        "console.note", Effect.ONCE, "XADD", key, "MAXLEN", "~", _MOST_ENTRIES, "*", *pairs,
        keys=(key,), decode=lambda reply: str(reply.decode()),
    )  # fmt: skip


def notes(
    prefix: str, before: str, count: int, since_ms: int | None = None, until_ms: int | None = None
) -> Op[list[AuditEntry]]:
    """Entries of the audit, newest first. before: the id after which to go on, "" = from the newest. since_ms,
    until_ms: Unix times of the oldest and the newest."""
    key = _audit_key(prefix)
    newest = f"({before}" if before else "+" if until_ms is None else str(until_ms)
    oldest = "-" if since_ms is None else str(since_ms)
    return command(
        "console.notes", Effect.READ, "XREVRANGE", key, newest, oldest, "COUNT", count,
        keys=(key,), decode=_entries,
    )  # fmt: skip


def _token_key(prefix: str, digest: str) -> str:
    return f"{prefix}console:{{access}}:token:{digest}"


def _audit_key(prefix: str) -> str:
    return f"{prefix}console:{{audit}}"


def _nothing(_: Reply) -> None:
    return None


def _grant(reply: Reply) -> bytes | None:
    return bytes(reply) if reply else None


def _entries(reply: Reply) -> list[AuditEntry]:
    return [AuditEntry(entry.decode(), _pairs(fields)) for entry, fields in reply or ()]


def _pairs(fields: Reply) -> dict[str, str]:
    texts = [part.decode("utf-8", "replace") for part in fields]
    return dict(zip(texts[::2], texts[1::2], strict=True))
