"""Key grammar: what may stand between the colons, and the one ``{tag}`` that keeps a script's keys in one slot."""

from __future__ import annotations

import hashlib
import re
from binascii import crc_hqx
from functools import cache
from itertools import count
from urllib.parse import quote

from hustlex.errors import Misuse

SLOTS = 16_384
"""Of a cluster."""

_SAFE = "._~/@+=-"
_LONGEST = 96
_PLAIN = re.compile(r"[A-Za-z0-9._~/@+=-]{1,96}")
"""What most ids are; taking them as they are is ten times as fast as looking for something to encode."""
_KEPT = 88


def component(text: str) -> str:
    """One key component: percent-encoded outside ``[A-Za-z0-9._~/@+=-]``, at most 105 bytes.

    Braces, colons, blanks and control characters are always encoded, so user text can neither move a key to another
    slot nor collide with another key. Over 96 bytes all after the 88th is replaced by ``~`` and 16 hex digits of its
    SHA-256: with 8, whoever may choose long ids could find one that meets another's key.
    """
    if _PLAIN.fullmatch(text):
        return text
    if not text:
        raise Misuse("a key component is empty", hint="pass a non-empty id")
    encoded = quote(text, safe=_SAFE, errors="surrogatepass")
    if len(encoded) <= _LONGEST:
        return encoded
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return f"{encoded[:_KEPT]}~{digest}"


def tag(text: str) -> str:
    """A component in braces: the hash tag that puts all keys of one script in one slot."""
    return "{" + component(text) + "}"


def tagged(key: str) -> str:
    """The component in a key's braces, as it stands there."""
    return key.partition("{")[2].partition("}")[0]


@cache
def key_in(number: int) -> str:
    """Some key of this slot."""
    return next(name for name in map(str, count()) if slot(name) == number)


def slot(key: str) -> int:
    """Redis Cluster's slot of a key: CRC16-XMODEM of its tag, or of the whole key, modulo 16384."""
    raw = key.encode() if key.isascii() else key.encode("utf-8", "surrogateescape")
    start = raw.find(b"{")
    if start >= 0:
        end = raw.find(b"}", start + 1)
        if end > start + 1:
            raw = raw[start + 1 : end]
    return crc_hqx(raw, 0) & (SLOTS - 1)
