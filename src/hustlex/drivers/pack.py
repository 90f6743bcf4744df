"""Operations as bytes on the wire, the same for both drivers."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import hiredis

from hustlex.core.op import Op
from hustlex.errors import Misuse


def pack(op: Op[Any], *, whole_script: bool = False) -> bytes:
    """RESP bytes. whole_script: EVAL with the text, after a NOSCRIPT. Raises Misuse for what cannot be sent."""
    if op.kept and not whole_script:
        return op.kept[0]
    script = op.script
    if op.parts and not whole_script:
        part = op.parts[0]
        return _gone_on(op, part) if part.script is script and len(op.parts) == 1 else _put_together(op)
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


def _put_together(op: Op[Any]) -> bytes:
    """Of words that were packed before: packing a key anew costs as much as judging it."""
    assert op.script is not None
    try:
        keys = [part.kept[1] for part in op.parts]  # type: ignore[index]
    except IndexError:
        keys = [*map(_kept_keys, op.parts)]
    shared = op.parts[0].args
    head, args = _often("EVALSHA", op.script.sha1, len(op.keys)), _often(*shared)
    rest = _words(op.args[len(shared) :]) if len(op.args) > len(shared) else b""
    return b"*%d\r\n%b" % (3 + len(op.keys) + len(op.args), b"".join([head, *keys, args, rest]))


def _gone_on(op: Op[Any], part: Op[Any]) -> bytes:
    """Of one part that calls the same script, and arguments of its own behind those of the part."""
    own: tuple[Any, ...] = op.args[len(part.args) :]
    begun = _begun(pack(part), 3 + len(op.keys) + len(op.args))
    if len(own) == 4:  # of one enqueue: hiredis takes twice as long
        one, two, three, last = own
        texts = type(one) is type(two) is type(three) is str and type(last) is bytes
        if texts and len(one) + len(two) + len(three) + len(last) < _SHORT:
            one, two, three = one.encode(), two.encode(), three.encode()
            sizes = _SIZES[len(one)], _SIZES[len(two)], _SIZES[len(three)], _SIZES[len(last)]
            return b"".join((begun[:-2], sizes[0], one, sizes[1], two, sizes[2], three, sizes[3], last, b"\r\n"))
    return begun + _words(own)


_SHORT = 1024
_SIZES = [b"\r\n$%d\r\n" % size for size in range(4 * _SHORT)]
"""What stands between a word and the next one, by its size; a character takes four bytes at most."""


@lru_cache(1024)
def _begun(packed: bytes, words: int) -> bytes:
    """The same with another count of words before it."""
    return b"*%d\r\n%b" % (words, packed.partition(b"\n")[2])


def _kept_keys(part: Op[Any]) -> bytes:
    assert part.kept is not None
    if len(part.kept) < 2:
        part.kept[:] = [pack(part), _words(part.keys)]
    return part.kept[1]


def _words(words: tuple[Any, ...]) -> bytes:
    packed = join(words)
    return packed[packed.index(b"\n") + 1 :]


@lru_cache(256, typed=True)
def _often(*words: Any) -> bytes:
    return _words(words)


def join(command: tuple[Any, ...]) -> bytes:
    """One command's words as RESP bytes. Raises TypeError, UnicodeError, hiredis.HiredisError for what is no word.

    hiredis itself ends the process for a number that Python does not write as text, and sends other bytes than those
    of a view with gaps. Raises Misuse for more bytes than a server reads: it would close the link under all its calls.
    """
    for word in command:
        kind = type(word)
        if kind is not str and kind is not bytes and not (kind is int and -_BEYOND < word < _BEYOND):
            _check(word)
    packed = _join(command)
    if len(packed) > _LARGEST:
        raise Misuse(
            f"a call has {len(packed):,} bytes", hint=f"a server reads {_LARGEST:,} at most: send less at once"
        )
    return packed


_BEYOND = 1 << 512
_LARGEST = 512 * 1024 * 1024
"""A server's ``proto-max-bulk-len``."""
_join: Callable[[tuple[Any, ...]], bytes] = hiredis.pack_command


def _check(word: Any) -> None:
    if type(word) is not float and not isinstance(word, str | bytes):
        raise TypeError(f"{type(word).__name__} is no word of a command")
