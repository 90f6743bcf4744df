"""Ids as users write them: one id in every spelling, and texts that may be one."""

from __future__ import annotations

import enum
import uuid
from typing import Any

from hypothesis import strategies as st


def texts(longest: int) -> st.SearchStrategy[str]:
    """What ``check.identity`` takes."""
    plain = st.characters(blacklist_categories=("Cc", "Cs", "Zl", "Zp"))
    return st.text(plain, min_size=1, max_size=longest).filter(str.strip)


class Loud(str):
    """Text whose ``str()`` is another."""

    __slots__ = ()

    def __str__(self) -> str:
        return self.upper() + "!"


def spellings(identity: int | str | uuid.UUID) -> list[Any]:
    """The same id in every type that callers have it in, the plain text last."""
    text = str(identity)
    members: list[Any] = [
        enum.Enum("Plain", {"ID": identity}).ID,  # type: ignore[attr-defined]
        enum.Enum("Text", {"ID": text}, type=str).ID,  # type: ignore[attr-defined]
        enum.StrEnum("Str", {"ID": text}).ID,  # type: ignore[attr-defined]
    ]
    if isinstance(identity, int):
        members.append(enum.IntEnum("Int", {"ID": identity}).ID)  # type: ignore[attr-defined]
    return [identity, *members, Loud(text), text]
