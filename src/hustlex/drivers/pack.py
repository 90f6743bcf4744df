"""Operations as bytes on the wire, the same for both drivers."""

from __future__ import annotations

from typing import Any

import hiredis

from hustlex.core.keys import slot
from hustlex.core.op import Arg, Op
from hustlex.errors import Misuse


def words(op: Op[Any], *, whole_script: bool = False) -> tuple[Arg, ...]:
    """The command and its arguments. whole_script: EVAL with the text, after a NOSCRIPT."""
    script = op.script
    if script is None:
        return op.args
    if whole_script:
        return ("EVAL", script.text, len(op.keys), *op.keys, *op.args)
    return ("EVALSHA", script.sha1, len(op.keys), *op.keys, *op.args)


def pack(op: Op[Any], *, whole_script: bool = False) -> bytes:
    """RESP bytes. Raises Misuse when an argument cannot be sent."""
    try:
        return join(words(op, whole_script=whole_script))
    except (TypeError, UnicodeError, hiredis.HiredisError) as error:
        raise Misuse(
            "an argument is not text, bytes or a number", op=op.name, hint="pass str, bytes, int or float"
        ) from error


def join(command: tuple[Any, ...]) -> bytes:
    """One command's words as RESP bytes."""
    packed: bytes = hiredis.pack_command(command)  # its stub says: a tuple of one element
    return packed


def one_slot(op: Op[Any]) -> None:
    """Raise Misuse when an operation's keys would live in different cluster slots (checked in tests, all modes)."""
    if len({slot(key) for key in op.keys}) > 1:
        raise Misuse("the keys of one script must share one {tag}", op=op.name)
