"""Long values of a hash, in parts of 64 bytes: with a longer one it becomes a table, three times as large."""

from __future__ import annotations

PART = 64
"""The longest value of a compact hash (hash-max-listpack-value)."""


def in_parts(name: str, value: bytes) -> list[bytes | str]:
    """Fields and values as ``lua/parts.lua`` reads them: name, name2, ...; none for an empty value."""
    found: list[bytes | str] = []
    for number, at in enumerate(range(0, len(value), PART), 1):
        found += (name if number == 1 else f"{name}{number}", value[at : at + PART])
    return found
