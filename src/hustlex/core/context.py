"""What is approved by a code or a PIN, and the one digest of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import msgspec

from hustlex.core import check
from hustlex.errors import Misuse

_LONGEST = 10_000

Context = Mapping[str, str | int]
"""What is approved, as {"amount_minor": 500000, "currency": "NGN"}; no floats, so that its JSON is fixed."""


def context_digest(context: Context | None) -> str:
    """SHA-256, hex, of the context's JSON with sorted names; "" for none. Raises Misuse for what has no fixed JSON."""
    if context is None:
        return ""
    check.instance("ctx", context, Mapping, hint="pass a mapping of names to text or whole numbers")
    items = {_name(name): _value(value) for name, value in context.items()}
    if not items:
        raise Misuse("ctx is empty", hint="name what is approved, as {'amount_minor': 500000}")
    return hashlib.sha256(msgspec.json.encode(items, order="sorted")).hexdigest()


def _name(name: object) -> str:
    return check.text("a name in ctx", name, longest=_LONGEST)


def _value(value: object) -> str | int:
    """Text or a whole number; of what is neither, the message tells the class alone."""
    if isinstance(value, str):
        return check.unicode("a value in ctx", value, longest=_LONGEST)
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return check.whole("a number in ctx", value, -(2**63), 2**64 - 1)
    raise Misuse(
        f"a value in ctx cannot be of class {type(value).__name__}", hint="pass text, or amounts in minor units"
    )
