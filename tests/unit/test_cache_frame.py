"""Entries: the frame's layout, its limits, and that no stored byte string can do worse than miss."""

from __future__ import annotations

import pickle
import random
import struct
import zlib
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hustlex import cache
from hustlex.cache import frame
from hustlex.cache.codec import DecodedEntry, ValueCodec
from hustlex.cache.frame import BadFrame, EntryFrame
from hustlex.cache.policy import Options, policy
from hustlex.errors import Misuse

MINUTE = timedelta(minutes=1)


class User(msgspec.Struct, frozen=True):
    id: int
    tags: list[str]


def codec(value_type: Any = User, **options: Any) -> ValueCodec[Any]:
    known: Options = options  # type: ignore[assignment]
    return ValueCodec(value_type, policy(ttl=MINUTE, **known))


def read_by(reader: ValueCodec[Any], raw: bytes) -> DecodedEntry[Any] | BadFrame:
    opened = reader.open(raw)
    return opened if isinstance(opened, BadFrame) else reader.read(opened)


def pack(body: bytes, **options: Any) -> bytes:
    return frame.pack(body, **({"fingerprint": 7, "fresh_ms": 60_000, "delta_ms": 3, "compress_over": 4096} | options))


def test_header_is_the_thirty_bytes_of_the_format() -> None:
    raw = pack(b'{"id":1}')
    assert raw[:30] == struct.pack("<BBIQIIQ", 1, 0, 7, 0, 60_000, 3, 0)
    assert raw[30:] == b'{"id":1}'
    assert frame.unpack(raw, 7) == EntryFrame(0, 60_000, b'{"id":1}', 3)


def test_none_is_a_flag_without_a_body() -> None:
    raw = pack(b"null")
    assert raw[1] == 0b0001_0000
    assert len(raw) == 30
    assert frame.unpack(raw, 7) == EntryFrame(0, 60_000, b"null", 3)
    assert frame.unpack(raw + b"x", 7) == BadFrame("body")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({0: 0x02}, "magic"),
        ({0: ord("{")}, "magic"),
        ({1: 0b0000_0001}, "flags"),  # another codec
        ({1: 0b0000_1000}, "flags"),  # zstd
        ({1: 0b0000_1100}, "flags"),  # lz4
        ({1: 0b0010_0000}, "tags"),  # says tags and has none
        ({1: 0b0100_0000}, "flags"),  # etag
        ({1: 0b1000_0000}, "flags"),
        ({2: 8}, "fingerprint"),
        ({1: 0b0000_0100}, "body"),  # says zlib and is not
    ],
)
def test_unknown_frames_are_rejected_with_a_reason(change: dict[int, int], reason: str) -> None:
    raw = bytearray(pack(b'{"id":1}'))
    for position, value in change.items():
        raw[position] = value
    assert frame.unpack(bytes(raw), 7) == BadFrame(reason)


def test_short_and_empty_frames_are_rejected() -> None:
    assert frame.unpack(b"", 7) == BadFrame("magic")
    assert frame.unpack(pack(b"1")[:29], 7) == BadFrame("short")


def test_compresses_only_over_the_limit_and_only_when_it_saves_a_tenth() -> None:
    words = b" ".join(b"%d" % (n * 7919) for n in range(2000))
    assert pack(words)[1] == 0b0000_0100
    assert len(pack(words)) < 0.9 * len(words)
    assert frame.unpack(pack(words), 7) == EntryFrame(0, 60_000, words, 3)
    assert pack(words[:4096])[1] == 0
    noise = random.Random(1).randbytes(10_000)
    assert pack(noise)[30:] == noise


def test_what_it_writes_always_passes_its_own_bomb_guard() -> None:
    zeros = b"0" * 1_000_000
    assert len(zlib.compress(zeros, 1)) * 32 < len(zeros)
    assert frame.unpack(pack(zeros), 7) == EntryFrame(0, 60_000, zeros, 3)


def test_a_bomb_is_rejected_unopened() -> None:
    header = bytearray(pack(b"x" * 10))[:30]
    header[1] = 0b0000_0100
    assert frame.unpack(bytes(header) + zlib.compress(b"0" * 10_000_000), 7) == BadFrame("bomb")
    assert frame.unpack(bytes(header) + zlib.compress(b"0" * 100)[:-3], 7) == BadFrame("body")


def test_times_are_clipped_to_their_fields() -> None:
    raw = pack(b"1", fresh_ms=2**40, delta_ms=0)
    assert struct.unpack_from("<BBIQII", raw)[4:] == (0xFFFF_FFFF, 1)


def test_fuzzed_entries_never_raise() -> None:
    """T-C21: 100,000 corrupt frames, framed and plain, compressed and not."""
    dice = random.Random(20261123)
    framed, plain = codec(compress_over=10), codec(format="plain")
    seeds = [framed.pack(framed.encode(User(1, ["a" * 5] * n)), 1000, 1) for n in (0, 3, 200)] + [
        plain.encode(User(1, ["b"])),
        framed.pack(b"null", 1000, 1),
    ]
    read = 0
    for _ in range(50_000):
        raw = bytearray(dice.choice(seeds))
        for _ in range(dice.choice((0, 1, 1, 2, 8))):
            raw[dice.randrange(len(raw))] = dice.randrange(256)
        damaged = bytes(raw[: dice.randrange(len(raw) + 1)] if dice.random() < 0.3 else raw)
        for reader in (framed, plain):
            found = read_by(reader, damaged)
            assert isinstance(found, DecodedEntry | BadFrame)
            read += isinstance(found, DecodedEntry)
    assert 1000 < read < 100_000


class Bomb:
    def __reduce__(self) -> Any:
        return pytest.fail, ("what was stored was run",)


def test_nothing_that_is_stored_is_ever_run() -> None:
    """T-C33: nothing is written or read as pickle, with a key or without one."""
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        raw = pickle.dumps(Bomb(), protocol)
        for stored in (raw, pack(raw), pack(raw, fingerprint=codec(Any).fingerprint), b"\x01" + raw):
            for reader in (codec(), codec(Any), codec(format="plain"), codec(bytes)):
                assert isinstance(read_by(reader, stored), DecodedEntry | BadFrame)
    for module in Path(cache.__path__[0]).glob("*.py"):
        assert "pickle" not in module.read_text("utf-8")


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_rejected(raw: bytes) -> None:
    for reader in (codec(), codec(Any), codec(format="plain")):
        assert isinstance(read_by(reader, raw), DecodedEntry | BadFrame)
        assert isinstance(read_by(reader, b"\x01" + raw), DecodedEntry | BadFrame)


_ANYTHING = [codec(Any, format=form, compress_over=1) for form in ("frame", "plain")]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=20,
    )
)
def test_what_is_stored_is_what_is_read(value: object) -> None:
    for kept in _ANYTHING:
        found = read_by(kept, kept.pack(kept.encode(value), 1000, 1))
        assert isinstance(found, DecodedEntry)
        assert found.value == value


def test_a_hook_that_raises_makes_a_miss_and_not_an_error() -> None:
    class Picky(msgspec.Struct):
        id: int

        def __post_init__(self) -> None:
            if self.id > 1:
                raise RuntimeError("no")

    picky = codec(Picky)
    raw = picky.pack(b'{"id":2}', 1000, 1)
    assert read_by(picky, raw) == BadFrame("body")


def test_tags_stand_between_header_and_body() -> None:
    tags = (("*user", b"a" * 16), ("org:7", b"b" * 16))
    raw = pack(b'{"id":1}', tags=tags, version=9)
    assert raw[30:] == b"\x02\x05*user" + b"a" * 16 + b"\x05org:7" + b"b" * 16 + b'{"id":1}'
    assert frame.unpack(raw, 7) == EntryFrame(0, 60_000, b'{"id":1}', 3, 9, tags)
    for end in range(30, len(raw) - len(b'{"id":1}')):
        assert frame.unpack(raw[:end], 7) == BadFrame("tags")


def test_a_changed_type_has_another_fingerprint() -> None:
    """T-C20: fields, their types and the schema version count; prose does not."""

    def user(kind: type, doc: str = "", name: str = "User") -> Any:
        return msgspec.defstruct(name, [("id", kind)], namespace={"__doc__": doc})

    same = codec(user(int)).fingerprint
    assert codec(user(int, "A user, explained.")).fingerprint == same
    assert codec(user(str)).fingerprint != same
    assert codec(list[user(int)]).fingerprint != same
    assert codec(user(int), schema_version=1).fingerprint != same
    named = msgspec.defstruct("User", [("description", int)])
    renamed = msgspec.defstruct("User", [("title", int)])
    assert codec(named).fingerprint != codec(renamed).fingerprint


def test_what_cannot_be_cached_says_so_without_the_value() -> None:
    with pytest.raises(Misuse, match="cannot be cached"):
        codec(object)
    with pytest.raises(Misuse) as caught:
        codec().encode({"secret": object()})
    assert "secret" not in str(caught.value)
    with pytest.raises(Misuse, match="not of the cache's type") as wrong:
        codec().copy(b'{"id":"0803"}')
    assert "0803" not in str(wrong.value)


@pytest.mark.parametrize(
    "options",
    [
        {"ttl": timedelta(0)},
        {"ttl": timedelta(days=50)},
        {"ttl": MINUTE, "jitter": 1.0},
        {"ttl": MINUTE, "jitter": -0.1},
        {"ttl": MINUTE, "negative_ttl": timedelta(0)},
        {"ttl": MINUTE, "lease": timedelta(0)},
        {"ttl": MINUTE, "timeout": timedelta(microseconds=5)},
        {"ttl": MINUTE, "bulkhead": 0},
        {"ttl": MINUTE, "max_value": 0},
        {"ttl": MINUTE, "format": "pickle"},
    ],
)
def test_impossible_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(Misuse):
        policy(**options)
