"""Hold the names: a class name stands for one thing in the package, but for twins and what two rooms make public."""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

SOURCE = Path(__file__).parent.parent / "src" / "hustlex"
TWINS = {"aio.py", "blocking.py"}
"""Files of one folder that do the same for tasks and for threads."""
PUBLIC = {
    "Breaker": "otp's option; the other is the ground's, known by BreakerOptions",
    "Gone": "jobs and otp: read as jobs.Gone and otp.Gone, an outcome of each",
    "Limits": "jobs and otp: options of each",
    "Message": "delivery and events: what is sent by each; and what arrives at the driver",
    "Mismatch": "idempotency and otp: an outcome of each",
    "Options": "cache and jobs: keyword arguments of each; and the driver's",
    "Outcome": "the ground's base of results, and what a rate limit decided",
    "Policy": "otp and ratelimit: what is declared in each",
    "Scope": "idempotency and otp: where each counts",
    "Started": "idempotency and jobs: an outcome of each",
}
"""Names that stay shared, each with its reason: a room's users read them under the room's name."""
Places = Mapping[str, list[Path]]


def classes(paths: Iterable[Path]) -> Places:
    """Files by the name of each class they define at their top."""
    found = defaultdict(list)
    for path in paths:
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.ClassDef):
                found[node.name].append(path)
    return found


def shared(places: Places) -> Places:
    """The names of several classes that are no twins of each other."""
    return {name: paths for name, paths in places.items() if len(paths) > 1 and not _twins(paths)}


def _twins(paths: list[Path]) -> bool:
    """``aio.py`` and ``blocking.py`` of one folder, or the two drivers."""
    drivers = {SOURCE / "drivers" / "aio" / "driver.py", SOURCE / "drivers" / "blocking.py"}
    return set(paths) == drivers or (
        len({path.parent for path in paths}) == 1 and {path.name for path in paths} == TWINS
    )


def main() -> int:
    places = classes(path for path in sorted(SOURCE.rglob("*.py")) if "_sync" not in path.parts)
    found = shared(places)
    complaints = [
        f"{name}: {', '.join(str(path.relative_to(SOURCE)) for path in paths)}: one name for several things"
        for name, paths in found.items()
        if name not in PUBLIC
    ]
    complaints += [f"{name}: is not shared any more; take it off the list" for name in PUBLIC.keys() - found.keys()]
    print("\n".join(complaints) or f"names: {len(places)} hold")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
