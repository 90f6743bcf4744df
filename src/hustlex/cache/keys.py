"""Key names: the entry reads as the application wrote it, the lease lives in the entry's slot."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from urllib.parse import quote

from hustlex.cache.types import EntryKey, Key
from hustlex.core import check
from hustlex.errors import Misuse

_SAFE = "._~/@+=-"
_LITERAL = re.compile(r"[A-Za-z0-9._~/@+=-]+(:[A-Za-z0-9._~/@+=-]+)*")
_ENCODED = re.compile(r"[A-Za-z0-9._~/@+=%-]+(:[A-Za-z0-9._~/@+=%-]+)+")
_LONGEST_PREFIX = 64
_LONGEST_PART = 96
_LONGEST_KEY = 250
_LONGEST_TEXT = 65_536
_LONGEST_TAG = 180
_DIGEST_BYTES = 8


def check_prefix(prefix: str) -> str:
    """A prefix that leaves room for the key and cannot move its lease to another slot. Raises Misuse."""
    check.instance("prefix", prefix, str)
    if not prefix.isascii() or "{" in prefix or "}" in prefix or len(prefix) > _LONGEST_PREFIX:
        raise Misuse(
            f"{prefix!r} cannot stand before cache keys",
            hint=f"use ASCII without braces, at most {_LONGEST_PREFIX} characters",
        )
    return prefix


def check_name(name: str) -> str:
    """A cache's name: one or more parts with ``:`` between, as ``user`` or ``gigs:category``. Raises Misuse."""
    if not _LITERAL.fullmatch(check.text("name", name)):
        raise Misuse(f"{name!r} is not a cache name", hint="use A-Z a-z 0-9 . _ ~ / @ + = - with ':' between parts")
    return name


def is_logical(text: str) -> bool:
    """Whether it is a cache's name and what follows it, as they stand in a key."""
    return ":" in text and bool(_ENCODED.fullmatch(text))


def check_apart(name: str, others: Iterable[str]) -> None:
    """Two names of which one goes on where the other ends share entries: ``gigs`` with the key ``("category", 7)``, and
    ``gigs:category`` with 7. Raises Misuse.
    """
    for other in others:
        if name.startswith(f"{other}:") or other.startswith(f"{name}:"):
            raise Misuse(
                f"the caches {min(name, other)!r} and {max(name, other)!r} could share entries",
                hint="one name begins with the other: write gigs-category beside gigs, not gigs:category",
            )


def text(part: object) -> str:
    """A part as text, the same for equal ids. Raises Misuse for what is no id: its text could change."""
    return check.identity("a part of a cache key", part, longest=_LONGEST_TEXT)


def component(value: str) -> str:
    """One part, percent-encoded; over 96 bytes its end is replaced by ``~`` and 16 hex of its BLAKE2b."""
    if not value:
        raise Misuse("a part of the cache key is empty", hint="pass a non-empty id")
    encoded = quote(value, safe=_SAFE, errors="surrogatepass")
    return encoded if len(encoded) <= _LONGEST_PART else f"{encoded[:_LONGEST_PART]}~{_digest(value)}"


def entry(prefix: str, logical: str) -> EntryKey:
    """``<prefix>cache:<logical>``, at most 250 bytes: a longer one ends in ``~`` and a digest of the whole."""
    whole = f"{prefix}cache:{logical}"
    if len(whole) < _LONGEST_KEY:
        return EntryKey(whole)
    ending = f"~{_digest(whole)}"
    return EntryKey(whole[: _LONGEST_KEY - len(ending)] + ending)


def lease(prefix: str, entry_key: str) -> str:
    """``<prefix>cl:{<entry>}``. Its tag is the whole entry key, so that both live in one slot."""
    return f"{prefix}cl:{{{entry_key}}}"


def stamp(prefix: str, tag_text: str) -> str:
    """``<prefix>ct:<tag>``: what is stored for a tag."""
    return f"{prefix}ct:{tag_text}"


def tag(value: object) -> str:
    """A tag as it stands in keys: parts between ``:``, encoded as those of a key. Raises Misuse."""
    parts = check.text("a tag", value, longest=_LONGEST_TEXT).split(":")
    if not all(parts):
        raise Misuse("a part of a tag is empty", hint="write tags as 'org:7'")
    whole = ":".join(component(part) for part in parts)
    return whole if len(whole) <= _LONGEST_TAG else f"{whole[:_LONGEST_TAG]}~{_digest(whole)}"


def tags(given: Iterable[str], most: int) -> tuple[str, ...]:
    """Several, each once. Raises Misuse for one, or for more than ``most``."""
    found = tuple(dict.fromkeys(tag(each) for each in check.several("tags", given)))
    if len(found) > most:
        raise Misuse(f"an entry cannot have {len(found)} tags", hint=f"pass at most {most}")
    return found


def namespace(name: str) -> str:
    """The tag of all entries of one cache. No caller's tag can be it: ``*`` is encoded in those."""
    return f"*{name}" if len(name) < _LONGEST_TAG else f"*~{_digest(name)}"


def logical(name: str, key: Key) -> str:
    """The name and the encoded parts, with ``:`` between."""
    parts = key if isinstance(key, tuple) else (key,)
    if not parts:
        raise Misuse("the cache key is empty", hint="pass an id")
    return ":".join((name, *(component(text(part)) for part in parts)))


def _digest(value: str) -> str:
    return hashlib.blake2b(value.encode("utf-8", "surrogatepass"), digest_size=_DIGEST_BYTES).hexdigest()
