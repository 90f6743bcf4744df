"""The entry's frame: 30 bytes of header, then the body. One that says anything unknown is a miss, never an error."""

from __future__ import annotations

import struct
import zlib

import msgspec

MAGIC = 0x01
"""A JSON text cannot start with it, so bare JSON written by others is recognised."""

_HEADER = struct.Struct("<BBIQIIQ")
"""The scripts that store an entry write the server's clock at its byte 6 (creation time)."""
_JSON = 0
_CODEC_BITS = 0b0000_0011
_ZLIB = 0b0000_0100
_COMPRESSION_BITS = 0b0000_1100
_NEGATIVE = 0b0001_0000
_KNOWN_BITS = _CODEC_BITS | _COMPRESSION_BITS | _NEGATIVE
_LARGEST_U32 = 0xFFFF_FFFF
_FASTEST_LEVEL = 1
_WORTH_IT = 0.9
_MOST_RATIO = 32
_MOST_BYTES = 64 << 20

NEGATIVE_BODY = b"null"
"""The body of a cached None."""


class EntryFrame(msgspec.Struct, frozen=True):
    """A readable entry. created_ms: server's clock. fresh_ms: 0 means no longer fresh. body: JSON, unpacked."""

    created_ms: int
    fresh_ms: int
    body: bytes


class FrameHeader(msgspec.Struct, frozen=True):
    """What stands before a body. negative: a cached None."""

    created_ms: int
    fresh_ms: int
    negative: bool


class BadFrame(msgspec.Struct, frozen=True):
    """An unreadable entry. reason: magic, short, flags, fingerprint, body, bomb or expired."""

    reason: str


def pack(body: bytes, *, fingerprint: int, fresh_ms: int, delta_ms: int, compress_over: int) -> bytes:
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
    return _HEADER.pack(MAGIC, flags, fingerprint, 0, min(fresh_ms, _LARGEST_U32), delta, 0) + stored


def header(raw: bytes) -> FrameHeader | None:
    """What a frame says of itself, whatever type it is of; None when this version does not know such."""
    if len(raw) < _HEADER.size or raw[0] != MAGIC:
        return None
    _, flags, _, created_ms, fresh_ms, _, _ = _HEADER.unpack_from(raw)
    return None if flags & ~_KNOWN_BITS else FrameHeader(created_ms, fresh_ms, bool(flags & _NEGATIVE))


def unpack(raw: bytes, fingerprint: int) -> EntryFrame | BadFrame:
    """Read a frame written for this type."""
    if not raw or raw[0] != MAGIC:
        return BadFrame("magic")
    if len(raw) < _HEADER.size:
        return BadFrame("short")
    _, flags, written_for, created_ms, fresh_ms, _, _ = _HEADER.unpack_from(raw)
    if flags & ~_KNOWN_BITS or flags & _CODEC_BITS != _JSON or flags & _COMPRESSION_BITS not in (0, _ZLIB):
        return BadFrame("flags")
    if written_for != fingerprint:
        return BadFrame("fingerprint")
    body = raw[_HEADER.size :]
    if flags & _NEGATIVE:
        return BadFrame("body") if body else EntryFrame(created_ms, fresh_ms, NEGATIVE_BODY)
    if flags & _COMPRESSION_BITS:
        return _inflated(body, created_ms, fresh_ms)
    return EntryFrame(created_ms, fresh_ms, body)


def _inflated(packed: bytes, created_ms: int, fresh_ms: int) -> EntryFrame | BadFrame:
    """Never more than 32 times its size or 64 MiB, whatever the entry claims."""
    machine = zlib.decompressobj()
    try:
        body = machine.decompress(packed, min(len(packed) * _MOST_RATIO, _MOST_BYTES) + 1)
    except zlib.error:
        return BadFrame("body")
    if len(body) > min(len(packed) * _MOST_RATIO, _MOST_BYTES):
        return BadFrame("bomb")
    return EntryFrame(created_ms, fresh_ms, body) if machine.eof else BadFrame("body")
