"""One spelling of a JSON text: names sorted, no blanks, one way to escape; numbers and repeated names as received."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any


class _Number(str):
    __slots__ = ()


class _Object(list[tuple[str, Any]]):
    __slots__ = ()


_decoder = json.JSONDecoder(object_pairs_hook=_Object, parse_float=_Number, parse_int=_Number, parse_constant=_Number)
_LITERALS = {True: "true", False: "false", None: "null"}


def canonical(body: bytes) -> bytes | None:
    """None for what is not JSON in UTF-8, or nests too deeply to be read.

    ``1.0`` and ``1`` differ, since a parser may tell them apart; so do two orders of one repeated name.
    """
    parts: list[str] = []
    try:
        _write(_decoder.decode(body.decode()), parts.append)
    except (ValueError, RecursionError):
        return None
    return "".join(parts).encode()


def _write(value: Any, out: Callable[[str], None]) -> None:
    if isinstance(value, _Number):
        out(value)
    elif isinstance(value, str):
        out(json.dumps(value))
    elif isinstance(value, _Object):
        for position, (name, inner) in enumerate(sorted(value, key=_name)):
            out(f"{',' if position else '{'}{json.dumps(name)}:")
            _write(inner, out)
        out("}" if value else "{}")
    elif isinstance(value, list):
        for position, inner in enumerate(value):
            out("," if position else "[")
            _write(inner, out)
        out("]" if value else "[]")
    else:
        out(_LITERALS[value])


def _name(pair: tuple[str, Any]) -> str:
    return pair[0]
