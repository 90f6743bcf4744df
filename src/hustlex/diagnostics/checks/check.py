"""What a check is: a plain function of facts, with its limits and its reason."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import msgspec

from hustlex.diagnostics.facts import ServerFacts
from hustlex.diagnostics.findings import DoctorFinding, Level, Role

Judgement = tuple[Level, str, str]
"""Level, what was measured, what to do."""
Measure = Callable[[Role, ServerFacts], Judgement | None]
"""None: it does not apply, or nobody asked for what it needs."""
Info = Mapping[str, str]
"""INFO's fields, all as text."""


class Check(msgspec.Struct, frozen=True):
    """name, and its row in the guide: from where on it speaks, and why that matters."""

    name: str
    limit: str
    why: str
    measure: Measure


class Checks:
    """Those of one subject, in order."""

    def __init__(self) -> None:
        self.all: list[Check] = []

    def add(self, limit: str, why: str) -> Callable[[Measure], Measure]:
        """A check of the function's name. limit: as "fail: off; warn: over 80 %"."""

        def take(measure: Measure) -> Measure:
            self.all.append(Check(measure.__name__.strip("_"), limit, why, measure))
            return measure

        return take

    def by_info(self, limit: str, why: str) -> Callable[[Callable[[Role, Info], Judgement | None]], Measure]:
        """One that needs INFO alone; unknown where that may not be asked."""

        def take(measure: Callable[[Role, Info], Judgement | None]) -> Measure:
            def check(role: Role, facts: ServerFacts) -> Judgement | None:
                return measure(role, facts.info) if facts.info else denied("+info")

            check.__name__ = measure.__name__
            return self.add(limit, why)(check)

        return take


def found(check: Check, role: Role, facts: ServerFacts) -> Iterator[DoctorFinding]:
    """What one check says of these facts."""
    said = check.measure(role, facts)
    if said is not None:
        level, detail, hint = said
        shown = ("", "", "") if level == "ok" else (hint, check.limit, check.why)
        yield DoctorFinding(role, check.name, level, detail, shown[0], facts.node, shown[1], shown[2])


def ok(detail: str) -> Judgement:
    """Nothing to do."""
    return "ok", detail, ""


def denied(rule: str) -> Judgement:
    """The user may not ask."""
    return "unknown", "this user may not ask", f"allow {rule}, or ask as another user"


def above(value: float, warn: float, fail: float) -> Level:
    """By how high a figure is."""
    return "fail" if value > fail else "warn" if value > warn else "ok"


def number(info: Info, name: str) -> float:
    """A field as a number; 0 for none."""
    try:
        return float(info.get(name, 0))
    except ValueError:
        return 0.0


def grown(facts: ServerFacts, name: str) -> float | None:
    """By how much a counter grew while it was watched; None when it was not."""
    return number(facts.later, name) - number(facts.info, name) if facts.later is not None else None


def mib(size: float) -> str:
    """Bytes for people."""
    return f"{size / 2**20:,.0f} MiB"
