"""Stand-ins for results that are not there yet, in the arguments of a workflow's later steps."""

from __future__ import annotations

from typing import Any


class Placeholder:
    """Stands for one result, or for the list of all. every: which of the two."""

    __slots__ = ("every",)

    def __init__(self, every: bool) -> None:
        self.every = every

    def __repr__(self) -> str:
        return "RESULTS" if self.every else "RESULT"


RESULT: Any = Placeholder(False)
"""What the one step before wrote with ``current_job().result.write``, None when it wrote nothing:
``charge.job(7).then(receipt.job(charge=RESULT))``. Only as a whole argument, and only in a workflow."""

RESULTS: Any = Placeholder(True)
"""What the steps before wrote, as a list, in the order in which they were given:
``gather(one, two, then=total.job(parts=RESULTS))``. Only as a whole argument, and only in a workflow."""

Slots = tuple[tuple[str, bool], ...]
"""Names of arguments and whether they take all results; one slot named "" is the whole payload."""


def is_placeholder(value: Any) -> bool:
    """Whether a value stands for a result."""
    return isinstance(value, Placeholder)
