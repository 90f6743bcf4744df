"""The entry's frame: 30 bytes of header, its tags with their stamps, then the body.

One that says anything unknown is a miss, never an error.
"""

from __future__ import annotations

import struct
import zlib

import msgspec

MAGIC = 0x01
"""A JSON text cannot start with it, so bare JSON written by others is recognised."""

_HEADER = struct.Struct("<BBIQIIQ")
"""The scripts that store an entry write the server's clock at its byte 6 (creation time)."""
_START = struct.Struct("<BBI")
_FRESH = slice(14, 18)
_STALE = bytes(4)
_JSON = 0
_CODEC_BITS = 0b0000_0011
_ZLIB = 0b0000_0100
_COMPRESSION_BITS = 0b0000_1100
_NEGATIVE = 0b0001_0000
_TAGGED = 0b0010_0000
_KNOWN_BITS = _CODEC_BITS | _COMPRESSION_BITS | _NEGATIVE | _TAGGED
_LARGEST_U32 = 0xFFFF_FFFF
_FASTEST_LEVEL = 1
_WORTH_IT = 0.9
_MOST_RATIO = 32
_MOST_BYTES = 64 << 20

NEGATIVE_BODY = b"null"
"""The body of a cached None."""

MOST_TAGS = 16
STAMP_BYTES = 16
HARD = 12
"""So many bytes of a stamp change with a hard invalidation, the others with a soft one."""

Tags = tuple[tuple[str, bytes], ...]
"""Each tag with the stamp that the entry was computed under."""


class EntryFrame(msgspec.Struct, frozen=True):
    """A readable entry. created_ms: server's clock. fresh_ms: 0 means no longer fresh. body: JSON, unpacked.
    delta_ms: how long its computation took. version: 0 for none."""

    created_ms: int
    fresh_ms: int
    body: bytes
    delta_ms: int = 1
    version: int = 0
    tags: Tags = ()


class FrameHeader(msgspec.Struct, frozen=True):
    """What stands before a body. negative: a cached None."""

    created_ms: int
    fresh_ms: int
    negative: bool
    tags: Tags = ()


class BadFrame(msgspec.Struct, frozen=True):
    """An unreadable entry. reason: magic, short, flags, fingerprint, tags, body, bomb; also
    expired, or invalid for one whose tag was invalidated."""

    reason: str


def pack(
    body: bytes,
    *,
    fingerprint: int,
    fresh_ms: int,
    delta_ms: int,
    compress_over: int,
    tags: Tags = (),
    version: int = 0,
) -> bytes:
    """A frame with creation time 0. delta_ms: how long the computation took."""
    flags, stored = _JSON, body
    if body == NEGATIVE_BODY:
        flags, stored = flags | _NEGATIVE, b""
    elif len(body) > compress_over:
        packed = zlib.compress(body, _FASTEST_LEVEL)
        # A better ratio than readers accept would be refused by every one of them.
        if len(body) / _MOST_RATIO <= len(packed) <= len(body) * _WORTH_IT:
            flags, stored = flags | _ZLIB, packed
    delta = min(max(1, delta_ms), _LARGEST_U32)
    if tags:
        flags, stored = flags | _TAGGED, packed_tags(tags) + stored
    return _HEADER.pack(MAGIC, flags, fingerprint, 0, min(fresh_ms, _LARGEST_U32), delta, version) + stored


def start(fingerprint: int) -> bytes:
    """What a frame of this type begins with, when it has tags and its body stands in it as it is."""
    return _START.pack(MAGIC, _JSON | _TAGGED, fingerprint)


def fresh_body(raw: bytes, begins: bytes, tags: bytes) -> bytes | None:
    """The body of a frame that begins like this, has exactly these packed tags, and is fresh while it is there."""
    if raw.startswith(begins) and raw.startswith(tags, _HEADER.size) and raw[_FRESH] != _STALE:
        return raw[_HEADER.size + len(tags) :]
    return None


def header(raw: bytes) -> FrameHeader | None:
    """What a frame says of itself, whatever type it is of; None when this version does not know such."""
    if len(raw) < _HEADER.size or raw[0] != MAGIC:
        return None
    _, flags, _, created_ms, fresh_ms, _, _ = _HEADER.unpack_from(raw)
    if flags & ~_KNOWN_BITS:
        return None
    start, tags = _read_tags(raw) if flags & _TAGGED else (_HEADER.size, ())
    return FrameHeader(created_ms, fresh_ms, bool(flags & _NEGATIVE), tags) if start else None


def unpack(raw: bytes, fingerprint: int) -> EntryFrame | BadFrame:
    """Read a frame written for this type."""
    if not raw or raw[0] != MAGIC:
        return BadFrame("magic")
    if len(raw) < _HEADER.size:
        return BadFrame("short")
    _, flags, written_for, created_ms, fresh_ms, delta_ms, version = _HEADER.unpack_from(raw)
    if flags & ~_KNOWN_BITS or flags & _CODEC_BITS != _JSON or flags & _COMPRESSION_BITS not in (0, _ZLIB):
        return BadFrame("flags")
    if written_for != fingerprint:
        return BadFrame("fingerprint")
    start, tags = _read_tags(raw) if flags & _TAGGED else (_HEADER.size, ())
    if not start:
        return BadFrame("tags")
    body: bytes | BadFrame = raw[start:]
    if flags & _NEGATIVE:
        body = BadFrame("body") if body else NEGATIVE_BODY
    elif flags & _COMPRESSION_BITS:
        body = _inflated(raw[start:])
    return body if isinstance(body, BadFrame) else EntryFrame(created_ms, fresh_ms, body, delta_ms, version, tags)


def packed_tags(tags: Tags) -> bytes:
    """As they stand between header and body."""
    named = [(tag.encode("latin-1"), stamp) for tag, stamp in tags]
    return bytes((len(named),)) + b"".join(bytes((len(tag),)) + tag + stamp for tag, stamp in named)


def _read_tags(raw: bytes) -> tuple[int, Tags]:
    """Where the body begins, and the tags; 0 when they are cut off."""
    if len(raw) <= _HEADER.size or raw[_HEADER.size] > MOST_TAGS:
        return 0, ()
    tags, place = [], _HEADER.size + 1
    for _ in range(raw[_HEADER.size]):
        if place >= len(raw):
            return 0, ()
        name, end = place + 1, place + 1 + raw[place]
        tags.append((raw[name:end].decode("latin-1"), raw[end : end + STAMP_BYTES]))
        place = end + STAMP_BYTES
    return (place, tuple(tags)) if place <= len(raw) else (0, ())


def _inflated(packed: bytes) -> bytes | BadFrame:
    """Never more than 32 times its size or 64 MiB, whatever the entry claims."""
    machine = zlib.decompressobj()
    try:
        body = machine.decompress(packed, min(len(packed) * _MOST_RATIO, _MOST_BYTES) + 1)
    except zlib.error:
        return BadFrame("body")
    if len(body) > min(len(packed) * _MOST_RATIO, _MOST_BYTES):
        return BadFrame("bomb")
    return body if machine.eof else BadFrame("body")
