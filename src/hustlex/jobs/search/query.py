"""What is typed to find tasks, as ``state:retry type:gig:* error~timeout age>1h -id:a``. Text in, a Query out; no I/O.

All terms must hold; the values of one, with commas between, are alternatives; ``-`` before a term turns it round. A
word alone stands in the type or in the error. ``:`` is equal, with ``*`` for anything; ``=`` is equal; ``~`` contains.
``:`` and ``~`` ignore case (of A to Z) unless a capital is typed; names of queues, tasks and groups are always exact.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches

import msgspec

from hustlex.core import check
from hustlex.errors import Misuse
from hustlex.jobs.inspect.errors import ErrorGroup
from hustlex.jobs.types import State

LONGEST = 1_000
MOST_TERMS = 12
MOST_VALUES = 50
_MOST_LOOKED_UP = 10
LOOKED_UP = ("sig", "worker", "cron")
"""Fields whose tasks are known elsewhere, where each costs calls: one of them goes into a query, once."""
_NUMBER = re.compile(r"-?\d{1,15}(\.\d{1,9})?", re.ASCII)
_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400}
_SIZES = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}
_COMPARE = (">", ">=", "<", "<=")
_EQUAL = (":", "=")
_HEAD = re.compile(r'([A-Za-z_]+)((?:\.[^\s.:=~<>",]+)*)(:|=|~|>=|<=|>|<)')
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_BARE = re.compile(r'[^\s,"]+')
_DURATION = re.compile(r"(\d{1,9})(ms|s|m|h|d)")
_SIZE = re.compile(r"(\d{1,9})([kmg]?)(?:i?b)?", re.IGNORECASE)
_CLOCK = re.compile(r"\d\d:\d\d(:\d\d)?")
_RUN = re.compile(r"[A-Za-z0-9_.:-]{3,}")
_SIGNATURE = re.compile(r"[0-9a-f]{16}")
_LEFT_OUT = re.compile(r"<\w+>")
_MASKED = re.compile(r"\u2039[^\u203a]*\u203a|\u2022+")
"""What stands on a page for what is hidden there: it may be searched for, and is in no message."""
_FOLDING = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}
WORDS = ("orphan", "unique", "parked", "big")
"""After ``is:``."""


class TextTest(msgspec.Struct, frozen=True):
    """A text that is compared. how: equal, glob or within. fold: capitals count as small letters."""

    text: str
    how: str
    fold: bool

    def holds(self, value: str) -> bool:
        """Whether a value is what was typed."""
        value, text = (folded(value), folded(self.text)) if self.fold else (value, self.text)
        if self.how == "within":
            return text in value
        return _glob(text, value) if self.how == "glob" else text == value

    @property
    def needle(self) -> str:
        """The longest run of plain characters that must stand in the value; "" = none."""
        parts = self.text.split("*") if self.how == "glob" else [self.text]
        plain = [run for part in parts for rest in _MASKED.split(part) for run in _RUN.findall(rest)]
        return max(plain, key=len, default="")


class TaskName(msgspec.Struct, frozen=True):
    """A task that is known by its id. queue: None = it may be in any."""

    id: str
    queue: str | None

    def names(self, queue: str, task_id: str) -> bool:
        """Whether this is the one."""
        return self.id == task_id and self.queue in (None, queue)


class ErrorLike(msgspec.Struct, frozen=True):
    """Failures of one signature: the type, and what must stand in the error."""

    queue: str
    type: str
    words: tuple[str, ...]

    def holds(self, queue: str, task_type: str, error: str) -> bool:
        """Whether a task failed so."""
        return (self.queue, self.type) == (queue, task_type) and all(word in error for word in self.words)


Value = TextTest | TaskName | ErrorLike | State | float | str


class Term(msgspec.Struct, frozen=True):
    """One condition. path: names behind the field, as of ``payload.user.id``. values: TextTest, State, number, or
    what was looked up elsewhere."""

    field: str
    op: str
    values: tuple[Value, ...]
    path: tuple[str, ...] = ()
    negated: bool = False


class Fault(msgspec.Struct, frozen=True):
    """A term that says nothing. column: where it begins, from 1."""

    column: int
    sentence: str


Kind = Callable[[str, str, str, float], Value]
"""Reads a value: what was typed, its field and operator, and the moment."""


class Query(msgspec.Struct, frozen=True):
    """What to find. now_s: the moment which "2h" counts from."""

    text: str
    now_s: float
    terms: tuple[Term, ...] = ()
    faults: tuple[Fault, ...] = ()

    def positive(self, *fields: str) -> list[Term]:
        """The terms of these fields that must hold."""
        return [term for term in self.terms if term.field in fields and not term.negated]


def parse(text: object, now_s: float) -> Query:
    """Read a query. What cannot be read is among its faults; the other terms count. Raises Misuse for no text."""
    written = check.text("query", text, longest=LONGEST, blank=True)
    terms, faults, at = list[Term](), list[Fault](), 0
    while at < len(written):
        if written[at].isspace():
            at += 1
            continue
        begin = at
        try:
            term, at = _term(written, at, now_s)
            if term.field in LOOKED_UP and any(other.field in LOOKED_UP for other in terms):
                raise _FaultError(f"of {', '.join(LOOKED_UP)} only one goes into a query, once")
            terms.append(term)
            if len(terms) > MOST_TERMS:
                raise _FaultError(f"there are at most {MOST_TERMS} terms")
        except _FaultError as fault:
            faults.append(Fault(begin + 1, str(fault)))
            at = max(_end_of_term(written, begin), begin + 1)
    faults += _missing(terms)
    return Query(written, now_s, tuple(terms[:MOST_TERMS]), tuple(faults))


def whole(text: object, now_s: float) -> Query:
    """As parse, for whom a query that is only half understood is of no use. Raises Misuse with the first fault."""
    found = parse(text, now_s)
    if found.faults:
        raise Misuse(f"query: {found.faults[0].sentence}", hint=f"look at column {found.faults[0].column}")
    return found


def of_place(queue: str, state: State, group: str = "") -> Query:
    """All of one state of one queue, also of one whose name nobody could type. group: for AGGREGATING."""
    named = [(name, text) for name, text in (("queue", queue), ("group", group)) if text]
    terms = (Term(name, "=", (TextTest(text, "equal", False),)) for name, text in named)
    text = " ".join((f"state:{state.value}", *(f"{name}={quoted(text)}" for name, text in named)))
    return Query(text, 0.0, (Term("state", ":", (state,)), *terms))


def error_like(group: ErrorGroup) -> ErrorLike:
    """What the failures of a group say: the class, and the longest run of what they say in the same words."""
    same = max(_LEFT_OUT.split(group.message), key=len).strip()
    words = (group.error.rpartition(".")[2], same)
    return ErrorLike(group.queue, group.type, tuple(word for word in words if word))


def folded(text: str) -> str:
    """As the server's script folds: A to Z alone."""
    return text.lower() if text.isascii() else text.translate(_FOLDING)


class _FaultError(Exception):
    pass


def _missing(terms: list[Term]) -> list[Fault]:
    states = [value for term in terms if term.field == "state" and not term.negated for value in term.values]
    grouped = any(term.field == "group" and not term.negated for term in terms)
    if State.AGGREGATING in states and not grouped:
        return [Fault(1, "tasks that wait in groups are found by group:NAME")]
    return []


def _term(text: str, at: int, now_s: float) -> tuple[Term, int]:
    negated = text[at] == "-"
    at += negated
    head = _HEAD.match(text, at)
    if head is None:
        value, at = _value(text, at)
        _ended(text, at)
        if not value:
            raise _FaultError("a word is missing here")
        return Term("text", "~", (_text_test(value, "~"),), (), negated), at
    field, path, op = head[1].lower(), tuple(head[2].split(".")[1:]), head[3]
    values, at = _values(text, head.end(), field)
    kind = _kind(field, path, op)
    return Term(field, op, tuple(kind(value, field, op, now_s) for value in values), path, negated), at


def _values(text: str, at: int, field: str) -> tuple[list[str], int]:
    found = list[str]()
    while True:
        if at >= len(text) or text[at].isspace():
            raise _FaultError(f'{field} needs a value; "" is none at all')
        value, at = _value(text, at)
        found.append(value)
        most = _MOST_LOOKED_UP if field in LOOKED_UP else MOST_VALUES
        if len(found) > most:
            raise _FaultError(f"{field} takes at most {most} values")
        if at >= len(text) or text[at] != ",":
            break
        at += 1
    _ended(text, at)
    return found, at


def _value(text: str, at: int) -> tuple[str, int]:
    if found := _QUOTED.match(text, at):
        return re.sub(r"\\(.)", r"\1", found[1]), found.end()
    if at < len(text) and text[at] == '"':
        raise _FaultError("a quotation mark is never closed")
    if found := _BARE.match(text, at):
        return found[0], found.end()
    raise _FaultError("a value is missing here")


def _ended(text: str, at: int) -> None:
    if at < len(text) and not text[at].isspace():
        raise _FaultError("put a blank between two terms, and quotation marks around a value that holds some")


def _end_of_term(text: str, at: int) -> int:
    """The blank behind it, past quotation marks that are closed."""
    while at < len(text) and not text[at].isspace():
        found = _QUOTED.match(text, at)
        at = found.end() if found else at + 1
    return at


def _kind(field: str, path: tuple[str, ...], op: str) -> Kind:
    known = FIELDS.get(field)
    if known is None:
        near = get_close_matches(field, FIELDS, 1)
        meant = f"; did you mean {near[0]}?" if near else f": there are {', '.join(FIELDS)}"
        name = field if len(field) <= 20 else "of this name"
        raise _FaultError(f"there is no field {name}{meant} (a word that holds : = ~ < or > goes into quotation marks)")
    ops, kind = known
    if op not in ops:
        raise _FaultError(f"{field} goes with {' '.join(ops)}, not with {op}")
    if path and field not in ("payload", "result", "header"):
        raise _FaultError(f"{field} has no parts")
    if op in _COMPARE and kind is _as_text:
        if not path:
            raise _FaultError(f"{field}{op} compares numbers: name one, as {field}.amount")
        return _as_number
    return kind


def _as_text(value: str, field: str, op: str, _: float) -> TextTest:
    if field in ("group", "cron") and (op == "~" or (op == ":" and "*" in value) or not value):
        raise _FaultError(f"{field} takes a whole name")
    if op == "~" and not value:
        raise _FaultError(f"{field}~ needs some text")
    return _text_test(value, op, exact=field in _EXACT)


def _as_signature(value: str, field: str, _: str, __: float) -> TextTest:
    if not _SIGNATURE.fullmatch(value.lower()):
        raise _FaultError(f"{field} takes the 16 digits that stand in the address of a group of errors")
    return TextTest(value.lower(), "equal", fold=False)


def _text_test(value: str, op: str, *, exact: bool = False) -> TextTest:
    fold = op != "=" and not exact and not any(letter.isupper() for letter in value)
    how = "within" if op == "~" else "glob" if op == ":" and "*" in value else "equal"
    return TextTest(value, how, fold)


def _as_state(value: str, _: str, __: str, ___: float) -> State:
    if value.lower() not in tuple(State):
        raise _FaultError(f"a state is one of {', '.join(sorted(State))}")
    return State(value.lower())


def _as_word(value: str, field: str, _: str, __: float) -> str:
    if value.lower() not in WORDS:
        raise _FaultError(f"{field} goes with {', '.join(WORDS)}")
    return value.lower()


def _as_number(value: str, field: str, _: str, __: float) -> float:
    if not _NUMBER.fullmatch(value):
        raise _FaultError(f"{field} is compared with a number, as 3")
    return float(value)


def _as_size(value: str, field: str, _: str, __: float) -> float:
    found = _SIZE.fullmatch(value)
    if found is None or not value.isascii():
        raise _FaultError(f"{field} is compared with bytes, as 64k")
    return float(int(found[1]) * _SIZES[found[2].lower()])


def _as_duration(value: str, field: str, _: str, __: float) -> float:
    return _seconds(value, f"{field} is compared with a duration, as 90s, 15m, 2h or 3d")


def moment_of(what: str, text: object, now_s: float) -> datetime:
    """A moment to come as it is typed: 2h from now, a date, a time of today, or both (UTC). Raises Misuse."""
    try:
        seconds = _as_moment(check.text(what, text, blank=True).strip(), "next", "", now_s)
    except _FaultError as fault:
        raise Misuse(f"{what}: {str(fault).removeprefix('next is compared with ')} was expected") from None
    return datetime.fromtimestamp(seconds, UTC)


def _as_moment(value: str, field: str, _: str, now_s: float) -> float:
    """Unix seconds. "2h": in two hours for what is to come, else two hours ago."""
    sentence = f"{field} is compared with 2h, a date as 2026-11-29, a time as 14:30, or both as 2026-11-29T14:30 (UTC)"
    if _DURATION.fullmatch(value):
        return now_s + (1 if field == "next" else -1) * _seconds(value, sentence)
    today = datetime.fromtimestamp(now_s, UTC)
    try:
        moment = datetime.fromisoformat(f"{today:%Y-%m-%d}T{value}" if _CLOCK.fullmatch(value) else value)
    except ValueError:
        raise _FaultError(sentence) from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    try:
        return check.moment("moment", moment).timestamp()
    except (Misuse, OverflowError):
        raise _FaultError(sentence) from None


def _seconds(value: str, sentence: str) -> float:
    found = _DURATION.fullmatch(value) if value.isascii() else None
    seconds = int(found[1]) * _UNITS[found[2]] if found else -1
    if not 0 <= seconds <= check.LONGEST_DURATION / timedelta(seconds=1):
        raise _FaultError(sentence)
    return seconds


def _glob(pattern: str, value: str) -> bool:
    """``*`` stands for anything; in one pass, however many there are."""
    head, *middle, tail = pattern.split("*")
    if not (value.startswith(head) and value.endswith(tail) and len(value) >= len(head) + len(tail)):
        return False
    at, end = len(head), len(value) - len(tail)
    for part in middle:
        found = value.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True


_EXACT = ("queue", "id", "group", "workflow", "worker", "cron")
_TEXTS = (*_EQUAL, "~")
FIELDS: dict[str, tuple[tuple[str, ...], Kind]] = {
    "state": (_EQUAL, _as_state),
    "queue": (_TEXTS, _as_text),
    "type": (_TEXTS, _as_text),
    "id": (_TEXTS, _as_text),
    "error": (_TEXTS, _as_text),
    "age": (_COMPARE, _as_duration),
    "next": (_COMPARE, _as_moment),
    "ended": (_COMPARE, _as_moment),
    "retried": ((*_EQUAL, *_COMPARE), _as_number),
    "left": ((*_EQUAL, *_COMPARE), _as_number),
    "crashes": ((*_EQUAL, *_COMPARE), _as_number),
    "group": (_EQUAL, _as_text),
    "workflow": (_EQUAL, _as_text),
    "sig": (_EQUAL, _as_signature),
    "worker": (_EQUAL, _as_text),
    "cron": (_EQUAL, _as_text),
    "is": (_EQUAL, _as_word),
    "size": (_COMPARE, _as_size),
    "payload": ((*_TEXTS, *_COMPARE), _as_text),
    "result": ((*_TEXTS, *_COMPARE), _as_text),
    "header": ((*_TEXTS, *_COMPARE), _as_text),
}
"""What can be asked of a task: the operators that go with it, and what reads a value."""


def quoted(text: str) -> str:
    """A value as a search takes it, whatever stands in it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
