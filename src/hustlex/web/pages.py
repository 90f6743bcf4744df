"""A response as it is cached, and what HTTP says about it (RFC 9110, 9111, 9211). Pure."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from operator import itemgetter
from urllib.parse import parse_qsl, urlencode

import msgspec
from starlette.datastructures import Headers

STORED = frozenset((200, 203, 204, 300, 301, 404, 410))
_OWN = frozenset((
    "age", "connection", "content-length", "date", "keep-alive", "set-cookie", "te", "trailer", "transfer-encoding",
    "upgrade",
))  # fmt: skip
_IN_304 = frozenset(("cache-control", "content-location", "etag", "expires", "vary"))

RawHeaders = Sequence[tuple[bytes, bytes]]


class CachedPage(msgspec.Struct, frozen=True):
    """A response. made: when, in seconds since 1970. fixed: whether its own Cache-Control stands."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    etag: str
    made: float
    tags: tuple[str, ...] = ()

    def fields(self, control: str, age_s: int, status: str) -> list[tuple[str, str]]:
        """What is sent with it."""
        own = [*self.headers]
        if control and not any(name == "cache-control" for name, _ in own):
            own.append(("cache-control", control))
        return [*own, ("age", str(age_s)), ("cache-status", status)]


def page(
    status: int, headers: RawHeaders, body: bytes, made: float, tags: Iterable[str], vary: Iterable[str]
) -> CachedPage:
    """Of what an application answered. Its own ETag stays."""
    fields = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in headers]
    known = Headers(raw=list(headers))
    etag = known.get("etag", "") or made_etag(body, known.get("content-encoding", ""))
    kept = [(name, value) for name, value in fields if name not in _OWN and name not in ("etag", "vary")]
    names = [name.strip().lower() for name in known.get("vary", "").split(",") if name.strip()]
    varied = ", ".join(dict.fromkeys([*names, *vary]))
    kept += [("etag", etag), *([("vary", varied)] if varied else [])]
    return CachedPage(status, tuple(kept), body, etag, made, tuple(tags))


def made_etag(body: bytes, encoding: str) -> str:
    """A strong one: other bytes, another tag."""
    digest = hashlib.blake2b(body, digest_size=9, person=encoding.encode()[:16]).digest()
    return f'"{base64.urlsafe_b64encode(digest).decode()}"'


def storable(status: int, headers: RawHeaders, vary: Iterable[str], *, private: bool) -> bool:
    """Whether a response may be kept: never one that sets a cookie, forbids it, differs by what is not in its key, or
    comes in parts of unknown length.
    """
    known = Headers(raw=list(headers))
    control = {word.strip().partition("=")[0].lower() for word in known.get("cache-control", "").split(",")}
    forbidden = control & ({"no-store"} if private else {"no-store", "private"})
    varied = {name.strip().lower() for name in known.get("vary", "").split(",") if name.strip()}
    whole = "content-length" in known or status in (204, 304)
    return (
        status in STORED
        and whole
        and not forbidden
        and "set-cookie" not in known
        and "content-range" not in known
        and varied.issubset(vary)
    )


def matches(if_none_match: str, etag: str) -> bool:
    """RFC 9110 section 13.1.2: a list or ``*``, compared weakly."""
    if if_none_match.strip() == "*":
        return True
    bare = etag.removeprefix("W/")
    return any(each.strip().removeprefix("W/") == bare for each in if_none_match.split(","))


def not_modified(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """What of them goes with a 304."""
    return [(name, value) for name, value in headers if name in _IN_304 or name in ("age", "cache-status")]


def query_of(raw: bytes, names: frozenset[str] | None) -> str:
    """A query in one order of names; only these parameters, None for all. Of one that is there twice a route takes the
    last, or all in their order."""
    pairs = parse_qsl(raw.decode("latin-1"), keep_blank_values=True)
    return urlencode(sorted((pair for pair in pairs if names is None or pair[0] in names), key=itemgetter(0)))


def digest(parts: Iterable[str]) -> str:
    """Of what tells one response from another."""
    return hashlib.blake2b(msgspec.msgpack.encode(list(parts)), digest_size=16).hexdigest()


def directives(*, private: bool, fresh_s: int, stale_s: int, error_s: int) -> str:
    """Cache-Control for clients. fresh_s: below 0 they ask each time, since nobody can tell them of an invalidation."""
    who = "private" if private else "public"
    if fresh_s < 0:
        return f"{who}, no-cache"
    more = (("stale-while-revalidate", stale_s), ("stale-if-error", error_s))
    return ", ".join([who, f"max-age={fresh_s}", *(f"{name}={seconds}" for name, seconds in more if seconds)])
