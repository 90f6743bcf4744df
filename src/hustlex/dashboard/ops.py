"""What the console itself keeps in Redis: a key that signs its cookies and forms, tokens for signing in."""

from __future__ import annotations

from hustlex.core.op import Effect, Op, Reply, command


def signing_key(prefix: str, fresh: bytes) -> Op[bytes]:
    """The key all consoles of this server sign with. fresh: becomes it when there is none yet."""
    key = f"{prefix}console:{{access}}:key"
    return command(
        "console.signing_key", Effect.IDEMPOTENT, "SET", key, fresh, "NX", "GET",
        keys=(key,), decode=lambda reply: bytes(reply) if reply else fresh,
    )  # fmt: skip


def keep_token(prefix: str, digest: str, session: bytes, seconds: int) -> Op[None]:
    """A token that signs its bearer in once. digest: SHA-256 of it; the token itself is nowhere."""
    key = _token_key(prefix, digest)
    return command(
        "console.keep_token", Effect.IDEMPOTENT, "SET", key, session, "EX", seconds, keys=(key,), decode=_nothing
    )


def take_token(prefix: str, digest: str) -> Op[bytes | None]:
    """Whose token it is, which is spent by that; None for one that is not known (any more)."""
    key = _token_key(prefix, digest)
    return command("console.take_token", Effect.ONCE, "GETDEL", key, keys=(key,), decode=_grant)


def put_mark(prefix: str, digest: str, mark: str, seconds: int) -> Op[None]:
    """Sessions of a name that carry another mark are over. digest: SHA-256 of the name."""
    key = _mark_key(prefix, digest)
    return command("console.put_mark", Effect.IDEMPOTENT, "SET", key, mark, "EX", seconds, keys=(key,), decode=_nothing)


def mark(prefix: str, digest: str) -> Op[str]:
    """What the living sessions of a name carry; "" where none were ended lately."""
    key = _mark_key(prefix, digest)
    return command(
        "console.mark", Effect.READ, "GET", key, keys=(key,), decode=lambda reply: str(reply.decode()) if reply else ""
    )


def _token_key(prefix: str, digest: str) -> str:
    return f"{prefix}console:{{access}}:token:{digest}"


def _mark_key(prefix: str, digest: str) -> str:
    return f"{prefix}console:{{access}}:ended:{digest}"


def _nothing(_: Reply) -> None:
    return None


def _grant(reply: Reply) -> bytes | None:
    return bytes(reply) if reply else None
