"""Operations that are kept packed."""

from __future__ import annotations

import hashlib

from hustlex.core.op import Effect, Script
from hustlex.drivers.pack import pack

TEXT = "return {1}"
SCRIPT = Script("a.b", TEXT, hashlib.sha1(TEXT.encode()).hexdigest(), Effect.READ, ("key",), ())


def test_a_kept_operation_is_packed_once() -> None:
    kept: list[bytes] = []
    op = SCRIPT.op(("k",), (1,), bool, kept=kept)
    first = pack(op)
    assert pack(op) is first is kept[0]
    assert first == pack(SCRIPT.op(("k",), (1,), bool))


def test_the_scripts_text_is_never_kept() -> None:
    kept: list[bytes] = []
    op = SCRIPT.op(("k",), (1,), bool, kept=kept)
    assert b"EVALSHA" not in pack(op, whole_script=True)
    assert kept == []
    pack(op)
    assert TEXT.encode() in pack(op, whole_script=True)
