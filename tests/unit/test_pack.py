"""Operations that are kept packed."""

from __future__ import annotations

import enum
import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from hustlex.core.op import Effect, Script, command
from hustlex.drivers.pack import pack
from hustlex.errors import Misuse

TEXT = "return {1}"
SCRIPT = Script("a.b", TEXT, hashlib.sha1(TEXT.encode()).hexdigest(), Effect.READ, ("key",), ())


def test_a_kept_operation_is_packed_once() -> None:
    kept: list[bytes] = []
    op = SCRIPT.op(("k",), (1,), bool, kept=kept)
    first = pack(op)
    assert pack(op) is first is kept[0]
    assert first == pack(SCRIPT.op(("k",), (1,), bool))


def test_an_operation_of_kept_parts_is_packed_as_if_it_had_none() -> None:
    parts = [SCRIPT.op((f"k{number}", "é"), (1,), bool, kept=[]) for number in range(3)]
    keys = tuple(key for part in parts for key in part.keys)
    plain = SCRIPT.op(keys, (1, "x"), bool)
    pack(parts[1])
    joint = replace(plain, parts=tuple(parts))
    assert pack(joint) == pack(joint) == pack(plain)
    assert pack(joint, whole_script=True) == pack(plain, whole_script=True)
    assert all(pack(part) == pack(replace(part, kept=None)) for part in parts)
    begun = parts[2]
    alone = SCRIPT.op(begun.keys, (*begun.args, "x", 2, b"raw"), bool)
    assert pack(replace(alone, parts=(begun,))) == pack(alone)
    assert pack(replace(alone, parts=(replace(begun, kept=[]),))) == pack(alone)
    assert pack(replace(SCRIPT.op(begun.keys, begun.args, bool), parts=(begun,))) == pack(begun)


@given(st.lists(st.one_of(st.text(), st.binary(), st.text(min_size=600).map(lambda text: text * 9)), max_size=5))
def test_what_follows_a_kept_part_is_packed_as_if_there_was_none(own: list[Any]) -> None:
    begun = SCRIPT.op(("k",), ("1",), bool, kept=[])
    whole = SCRIPT.op(("k",), ("1", *own), bool)
    assert pack(replace(whole, parts=(begun,))) == pack(whole)


@given(st.tuples(st.text(), st.text(), st.text(max_size=400), st.binary(max_size=1_100)))
def test_so_are_three_texts_and_a_payload(own: tuple[Any, ...]) -> None:
    test_what_follows_a_kept_part_is_packed_as_if_there_was_none.hypothesis.inner_test([*own])  # type: ignore[attr-defined]


def test_the_scripts_text_is_never_kept() -> None:
    kept: list[bytes] = []
    op = SCRIPT.op(("k",), (1,), bool, kept=kept)
    assert b"EVALSHA" not in pack(op, whole_script=True)
    assert kept == []
    pack(op)
    assert TEXT.encode() in pack(op, whole_script=True)


class Grade(enum.IntEnum):
    ONE = 1


class Mute(float):
    def __repr__(self) -> str:
        raise RuntimeError("no words")


class Name(str):
    pass


WORDS = st.one_of(
    st.text(), st.binary(), st.integers(), st.integers().map(lambda n: n * 10**4999), st.floats(), st.text().map(Name)
)
ODD_WORDS: dict[str, Any] = {
    "too long a number": 10**5000,
    "too long below zero": -(10**5000),
    "longer than any": -(10**200),
    "a number without text": Mute(1),
    "an enum member": Grade.ONE,
    "a boolean": True,
    "nothing": None,
    "a view with gaps": memoryview(b"abcd")[::2],
}
ODD = st.one_of(
    st.sampled_from([[], {}, (), object(), 1j, bytearray(b"a"), "\ud800"]),
    st.sampled_from(sorted(ODD_WORDS)).map(ODD_WORDS.get),
)


def written(word: Any) -> bytes:
    return word if isinstance(word, bytes) else (word if isinstance(word, str) else repr(word)).encode()


@given(st.lists(st.one_of(WORDS, ODD), max_size=5))
def test_a_command_is_sent_word_by_word_or_refused(words: list[Any]) -> None:
    """Also numbers that Python does not write as text, for which hiredis ended the process."""
    op = command("a.b", Effect.READ, "SET", *words, decode=bool)
    try:
        packed = pack(op)
    except Misuse:
        return
    said = [b"SET", *(written(word) for word in words)]
    assert packed == b"*%d\r\n" % len(said) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in said)


@pytest.mark.parametrize("whole_script", [False, True])
@pytest.mark.parametrize("name", ODD_WORDS)
def test_neither_keys_nor_arguments_of_a_script_may_be_odd(name: str, whole_script: bool) -> None:
    odd = ODD_WORDS[name]
    for op in (SCRIPT.op((odd,), (1,), bool), SCRIPT.op(("k",), (odd,), bool)):
        with pytest.raises(Misuse, match="not text, bytes or a number"):
            pack(op, whole_script=whole_script)


def test_a_call_that_no_server_reads_is_refused_before_it_breaks_the_link(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hustlex.drivers.pack._LARGEST", 1_000)
    fits = command("a.set", Effect.IDEMPOTENT, "SET", "k", "x" * 900, keys=("k",), decode=bool)
    assert pack(fits)
    with pytest.raises(Misuse, match=r"a call has 1,029 bytes \(a server reads 1,000 at most"):
        pack(replace(fits, args=("SET", "k", "x" * 1_000)))
