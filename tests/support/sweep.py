"""Calls what is public with odd values, one argument at a time: the answer is a value or an Error of this package.

A room's test lists one or more ``Sample`` of each public callable, with arguments that fit, and asks::

    @pytest.mark.parametrize("sample", SAMPLES, ids=str)
    async def test_bad_input_gets_one_sentence(sample: Sample, hx: HustleX) -> None:
        assert await complaints(sample, hx.jobs) == []


    def test_the_sweep_is_complete() -> None:
        assert unswept([Jobs, Inspector], SAMPLES) == set()
"""

from __future__ import annotations

import asyncio
import enum
import inspect
import math
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, get_type_hints

from hustlex.errors import Error

_PATIENCE_S = 5.0


class _Word(str):
    """Text by another class."""


class _Colour(enum.Enum):
    RED = "red"
    NOTHING = None


def _function(*_: Any, **__: Any) -> None:
    return None


def _generator() -> Any:
    yield 1


ODD: Mapping[str, Any] = {
    "None": None,
    "True": True,
    "False": False,
    "0": 0,
    "-1": -1,
    "2": 2,
    "2**31": 2**31,
    "2**63": 2**63,
    "2**64": 2**64,
    "10**5000": 10**5000,
    "1.5": 1.5,
    "-0.5": -0.5,
    "nan": math.nan,
    "inf": math.inf,
    "1e300": 1e300,
    "complex": 1j,
    "empty text": "",
    "blank text": "  ",
    "text": "odd",
    "digits": "5",
    "text of another class": _Word("odd"),
    "braces": "victim}:t:{x",
    "a line break": "a\nb",
    "NUL": "a\x00b",
    "half a character": "a\ud800",
    "long text": "x" * 100_000,
    "bytes": b"raw",
    "bytearray": bytearray(b"raw"),
    "list": [],
    "list of None": [None],
    "list of 1": [1],
    "list of text": ["odd"],
    "tuple": (1, 2),
    "dict": {},
    "dict of numbers": {1: 2},
    "dict of text": {"a": "b"},
    "dict with a number": {"a": 1},
    "dict with None": {"a": None},
    "set": {1},
    "object": object(),
    "a class": int,
    "function": _function,
    "generator function": _generator,
    "exception": ValueError("odd"),
    "enum member": _Colour.RED,
    "enum member of None": _Colour.NOTHING,
    "uuid": uuid.UUID(int=7),
    "no time": timedelta(0),
    "a microsecond": timedelta(microseconds=1),
    "time back": timedelta(seconds=-1),
    "a thousand years": timedelta(days=365_250),
    "timedelta.max": timedelta.max,
    "timedelta.min": timedelta.min,
    "naive datetime": datetime(2026, 1, 1),  # noqa: DTZ001 - that is the point
    "datetime.min": datetime.min.replace(tzinfo=UTC),
    "datetime.max": datetime.max.replace(tzinfo=UTC),
    "naive datetime.max": datetime.max,  # noqa: DTZ901
    "date": datetime(2026, 1, 1, tzinfo=UTC).date(),
}
"""What callers pass by mistake, or to see what happens."""


@dataclass(frozen=True)
class Sample:
    """target: what is judged, as ``Jobs.enqueue``; it gives the name and the parameters.

    given: arguments that fit, by name; as many as go together. call: how to call it, ``(subject, **given)``; left out,
    a method of that name of the subject, or the target itself. spare: by parameter, names of ``ODD`` that are not
    tried, because they are valid there and would do or wait too long.
    """

    target: Callable[..., Any]
    given: Mapping[str, Any] = field(default_factory=dict)
    call: Callable[..., Any] | None = None
    spare: Mapping[str, frozenset[str] | set[str]] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.target.__qualname__

    def run(self, subject: Any, given: Mapping[str, Any]) -> Any:
        """Make the call."""
        if self.call is not None:
            return self.call(subject, **given)
        bound = getattr(subject, self.target.__name__, None) if subject is not None else None
        return (bound or self.target)(**given)


async def complaints(sample: Sample, subject: Any = None, *, odd: Mapping[str, Any] = ODD) -> list[str]:
    """Every call that was answered with anything but a value or an Error of this package, in words."""
    first = await _trouble(sample, subject, sample.given)
    found = [f"{sample} with what fits: {first}"] if first else []
    for name in sample.given:
        for label, value in odd.items():
            if label in sample.spare.get(name, ()):
                continue
            trouble = await _trouble(sample, subject, {**sample.given, name: value}, odd=True)
            if trouble:
                found.append(f"{sample}({name}={label}): {trouble}")
    return found


async def _trouble(sample: Sample, subject: Any, given: Mapping[str, Any], *, odd: bool = False) -> str:
    try:
        async with asyncio.timeout(_PATIENCE_S):
            answer = sample.run(subject, given)
            if inspect.isawaitable(answer):
                await answer
    except Error as error:
        return "" if odd else f"{type(error).__name__}: {error}"
    except TimeoutError:
        return f"no answer within {_PATIENCE_S:.0f} s"
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:200]}"
    return ""


def unswept(owners: Iterable[Any], samples: Iterable[Sample], *, but: Iterable[str] = ()) -> set[str]:
    """Public methods, and parameters of public callables, that no sample gives. owners: classes and functions.

    but: names that need none, as they are written in the answer.
    """
    given: dict[str, set[str]] = {}
    for sample in samples:
        given.setdefault(sample.target.__qualname__, set()).update(sample.given)
    missing: set[str] = set()
    for target in (found for owner in owners for found in _callables(owner)):
        name = target.__qualname__
        if not parameters(target):
            continue
        missing |= {f"{name}({wanted})" for wanted in parameters(target) - given.get(name, set())}
    return missing - set(but)


def _callables(owner: Any) -> list[Callable[..., Any]]:
    if not inspect.isclass(owner):
        return [owner]
    methods = [found for name, found in vars(owner).items() if inspect.isfunction(found) and not name.startswith("_")]
    return [owner, *methods]


def parameters(target: Callable[..., Any]) -> set[str]:
    """Names of what a callable takes; of ``**options: Unpack[Options]`` the options' names."""
    names: set[str] = set()
    for name, parameter in inspect.signature(target).parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            hint = get_type_hints(target, include_extras=True).get(name)
            names |= set(getattr(hint.__args__[0], "__annotations__", ())) if hasattr(hint, "__args__") else set()
        elif parameter.kind is not parameter.VAR_POSITIONAL and name != "self":
            names.add(name)
    return names
