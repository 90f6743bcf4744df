"""Operations as bytes on the wire, the same for both drivers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import hiredis

from hustlex.core.op import Op
from hustlex.errors import Misuse


def pack(op: Op[Any], *, whole_script: bool = False) -> bytes:
    """RESP bytes. whole_script: EVAL with the text, after a NOSCRIPT. Raises Misuse for what cannot be sent."""
    if op.kept and not whole_script:
        return op.kept[0]
    script = op.script
    if script is None:
        command = op.args
    elif whole_script:
        command = ("EVAL", script.text, len(op.keys), *op.keys, *op.args)
    else:
        command = ("EVALSHA", script.sha1, len(op.keys), *op.keys, *op.args)
    try:
        packed = join(command)
    except (TypeError, UnicodeError, hiredis.HiredisError) as error:
        hint = "pass str, bytes, int or float"
        raise Misuse("an argument is not text, bytes or a number", op=op.name, hint=hint) from error
    if op.kept is not None and not whole_script:
        op.kept.append(packed)
    return packed


def join(command: tuple[Any, ...]) -> bytes:
    """One command's words as RESP bytes. Raises TypeError, UnicodeError, hiredis.HiredisError for what is no word.

    hiredis itself ends the process for a number that Python does not write as text, and sends other bytes than those
    of a view with gaps.
    """
    for word in command:
        kind = type(word)
        if kind is not str and kind is not bytes and not (kind is int and -_BEYOND < word < _BEYOND):
            _check(word)
    return _join(command)


_BEYOND = 1 << 512
_join: Callable[[tuple[Any, ...]], bytes] = hiredis.pack_command


def _check(word: Any) -> None:
    if type(word) is not float and not isinstance(word, str | bytes):
        raise TypeError(f"{type(word).__name__} is no word of a command")
