"""What is approved by a code or a PIN, and the one digest of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from hustlex.errors import Misuse

Context = Mapping[str, str | int]
"""What is approved, as {"amount_minor": 500000, "currency": "NGN"}; no floats, so that its JSON is fixed."""


def context_digest(context: Context | None) -> str:
    """SHA-256, hex, of the context's JSON with sorted names; "" for none. Raises Misuse for what has no fixed JSON."""
    if context is None:
        return ""
    items: dict[Any, Any] = dict(context)
    if not items or not all(isinstance(name, str) and isinstance(value, str | int) for name, value in items.items()):
        raise Misuse("ctx must be a non-empty mapping of names to str or int", hint="give amounts in minor units")
    try:
        return hashlib.sha256(msgspec.json.encode(items, order="sorted")).hexdigest()
    except UnicodeEncodeError:
        raise Misuse("ctx must be valid Unicode text") from None
