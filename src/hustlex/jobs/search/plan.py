"""How a query is carried out: in which places it looks, between which scores, and for which bytes."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable

import msgspec

from hustlex.jobs.keys import QueueKeys
from hustlex.jobs.search.query import ErrorLike, Query, TaskName, Term, TextTest, Value, folded
from hustlex.jobs.types import State

MOST_NEEDLES = 4
_STATES = (State.SCHEDULED, State.RETRY, State.PENDING, State.ACTIVE, State.COMPLETED, State.ARCHIVED)
"""In the order of a task's life: who moves on meanwhile is met again rather than missed."""
_ONLY_IN = {
    "next": (State.SCHEDULED, State.RETRY),
    "ended": (State.COMPLETED, State.ARCHIVED),
    "group": (State.AGGREGATING,),
    "sig": (State.RETRY, State.ARCHIVED),
    "worker": (State.ACTIVE,),
}
_ENDLESS = 1e300
_IN_BYTES = ("type", "error", "text", "payload", "header")
"""Fields whose values stand in a message as they are typed."""
_KINDS = {
    State.PENDING: "list",
    State.ACTIVE: "hands",
    State.COMPLETED: "falling",
    State.ARCHIVED: "falling",
}


class TaskPlace(msgspec.Struct, frozen=True):
    """Where tasks of one state of a queue are. kind: as the script has it; low, high: scores, of a sorted set."""

    state: State
    group: str
    kind: str
    low: float
    high: float

    def key(self, q: QueueKeys) -> str:
        """What holds their ids."""
        found: str = q.group(self.group) if self.group else getattr(q, self.state.value)
        return found


class SearchPlan(msgspec.Struct, frozen=True):
    """ids: the only ones that come into question, None = any. fold: needles are lower case."""

    query: Query
    places: tuple[TaskPlace, ...]
    ids: tuple[str, ...] | None
    needles: tuple[bytes, ...]
    fold: bool
    results: bool
    broad: bool
    """Whether whatever stands in its places is sought."""

    def queues(self, names: Iterable[str]) -> list[str]:
        """Those in which it may be found, in order."""
        known = in_queues(self.query, names)
        for term in self.query.positive("sig", "worker", "cron"):
            known &= {name for value in term.values for name in _queues_of(value, known)}
        return sorted(known)


def in_queues(query: Query, names: Iterable[str]) -> set[str]:
    """Those that its terms for queues let pass."""
    terms = [term for term in query.terms if term.field == "queue"]
    return {name for name in names if all(_one_of(term, name) != term.negated for term in terms)}


def plan(query: Query) -> SearchPlan:
    """Look where it can be, and nowhere else."""
    states: tuple[State, ...] = (State.AGGREGATING, *_STATES)
    for term in query.terms:
        if term.field == "state":
            states = tuple(state for state in states if (state in term.values) != term.negated)
    for term in query.positive(*_ONLY_IN):
        states = tuple(state for state in states if state in _ONLY_IN[term.field])
    groups = sorted({_text(value) for term in query.positive("group")[:1] for value in term.values})
    places = [_place(query, state, "") for state in states if state is not State.AGGREGATING]
    if State.AGGREGATING in states:
        places = [*(_place(query, State.AGGREGATING, group) for group in groups), *places]
    needles, fold = _needles(query)
    results = any(term.field == "result" for term in query.terms)
    broad = all(term.field in ("state", "queue", "group") for term in query.terms)
    return SearchPlan(query, tuple(places), _ids(query), needles, fold, results, broad)


def _place(query: Query, state: State, group: str) -> TaskPlace:
    low, high = _bounds(query, state)
    return TaskPlace(state, group, _KINDS.get(state, "rising"), low, high)


def _bounds(query: Query, state: State) -> tuple[float, float]:
    """Scores between which a task can be one: whole seconds, and never narrower than what is asked."""
    low, high = -_ENDLESS, _ENDLESS
    for term in query.positive("next", "ended", "age"):
        if (state in (State.SCHEDULED, State.RETRY)) != (term.field == "next") or state is State.COMPLETED:
            continue
        if term.field != "next" and state is not State.ARCHIVED:
            continue
        moments = [query.now_s - value if term.field == "age" else value for value in _numbers(term)]
        if (term.op in (">", ">=")) != (term.field == "age"):
            low = max(low, math.floor(min(moments)))
        else:
            high = min(high, math.ceil(max(moments)))
    return low, high


def _needles(query: Query) -> tuple[tuple[bytes, ...], bool]:
    """The longest runs that must stand in the message of whatever is found; a few are enough."""
    tests = [
        value
        for term in query.positive(*_IN_BYTES)
        if len(term.values) == 1
        for value in term.values
        if isinstance(value, TextTest) and value.needle
    ]
    likes = [value for term in query.positive("sig") if len(term.values) == 1 for value in term.values]
    tests += [TextTest(like.type, "equal", fold=False) for like in likes if isinstance(like, ErrorLike)]
    fold = any(test.fold for test in tests)
    runs = sorted({folded(test.needle) if fold else test.needle for test in tests}, key=len, reverse=True)
    return tuple(run.encode() for run in runs[:MOST_NEEDLES]), fold


def _ids(query: Query) -> tuple[str, ...] | None:
    if known := query.positive("worker", "cron"):
        return tuple(dict.fromkeys(value.id for value in known[0].values if isinstance(value, TaskName)))
    for term in query.positive("id"):
        tests = [value for value in term.values if isinstance(value, TextTest)]
        if all(test.how == "equal" for test in tests):
            return tuple(dict.fromkeys(test.text for test in tests))
    return None


def _queues_of(value: Value, known: Collection[str]) -> Collection[str]:
    """Where what was looked up can be."""
    named = value.queue if isinstance(value, TaskName | ErrorLike) else None
    return known if named is None else (named,)


def _one_of(term: Term, name: str) -> bool:
    return any(isinstance(value, TextTest) and value.holds(name) for value in term.values)


def _numbers(term: Term) -> list[float]:
    return [value for value in term.values if isinstance(value, int | float)]


def _text(value: object) -> str:
    return value.text if isinstance(value, TextTest) else ""
