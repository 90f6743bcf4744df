"""Text of strangers on a terminal: what would steer the terminal is shown instead of obeyed."""

from __future__ import annotations


def printable(text: str) -> str:
    """The text with every character that is neither visible nor a blank or tab written as ``\\x1b`` or ``\\u202e``.

    Escapes colour and move the cursor, set titles and answer for the user; a carriage return or a change of writing
    direction makes one line look like another.
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one == "\t" else _written(one) for one in text)


def _written(one: str) -> str:
    return one.encode("unicode_escape").decode("ascii") if one != "\\" else one
