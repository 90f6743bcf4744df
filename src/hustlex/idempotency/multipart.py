"""One spelling of a multipart body (RFC 2046): a client that repeats a request draws a new boundary."""

from __future__ import annotations

import re

_BOUNDARY = re.compile(r";\s*boundary=(?:\"([^\"\\]{1,70})\"|([^\s;\"]{1,70}))\s*(?:;|$)", re.IGNORECASE)
_BREAK = b"\r\n"


def parts_of(body: bytes, content_type: str) -> bytes | None:
    """The parts in their order, each with its header fields sorted by name and its content as received; no boundary.
    None for what is not exactly a multipart body: whoever reads it otherwise may see other parts.
    """
    found = _BOUNDARY.search(content_type)
    if not found:
        return None
    delimiter = _BREAK + b"--" + (found[1] or found[2]).encode("utf-8", "surrogatepass")
    preamble, *parts = (_BREAK + body).split(delimiter)
    if preamble or not parts or parts.pop() not in (b"--", b"--" + _BREAK):
        return None
    written = [_part(part) for part in parts]
    return None if None in written else b"".join(part for part in written if part is not None)


def _part(text: bytes) -> bytes | None:
    head, separator, content = text.partition(_BREAK + _BREAK)
    if not separator or not head.startswith(_BREAK):
        return None
    fields = []
    for line in head[2:].split(_BREAK):
        name, colon, value = line.partition(b":")
        if not colon or not name.strip() or line[:1] in b" \t":
            return None
        fields.append((name.strip().lower(), value.strip()))
    # One name twice: parsers disagree on which counts, so their order does.
    lines = [b":".join(field) for field in sorted(fields, key=_name)]
    return b"".join(_framed(each) for each in (_BREAK.join(lines), content))


def _name(field: tuple[bytes, bytes]) -> bytes:
    return field[0]


def _framed(text: bytes) -> bytes:
    return b"%d:%b" % (len(text), text)
