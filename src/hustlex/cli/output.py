"""How commands answer: a table or lines for people, one JSON object with its schema's name for programs."""

from __future__ import annotations

import enum
import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Protocol, TextIO, get_args

import msgspec
import typer

from hustlex.core.printable import printable
from hustlex.errors import Misuse

if TYPE_CHECKING:
    from rich.table import Table

AsJson = Annotated[bool, typer.Option("--json", help="One JSON object instead of text")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask")]

_NARROWEST = 8


def print_json(schema: str, answer: Mapping[str, Any]) -> None:
    """One object. schema: as ``otp.status/1``; adding a field keeps the number, renaming one raises it."""
    head = {"schema": f"hustlex.{schema}", "as_of": plain(datetime.now(UTC))}
    print(json.dumps({**head, **{name: plain(value) for name, value in named(answer.items())}}), flush=True)


def print_done(done: bool, schema: str, *, as_json: bool) -> None:
    """What an act did. done: False when there was nothing to change."""
    if as_json:
        print_json(schema, {"changed": done})
    else:
        print("done" if done else "there was nothing")


def print_answer(schema: str, fields: Mapping[str, Any], *, as_json: bool) -> None:
    """The same fields, as JSON or a line each."""
    if as_json:
        print_json(schema, fields)
    else:
        print_fields(fields)


class KeyPage(Protocol):
    """A page of what was found among the server's keys, as the rooms' inspectors answer it."""

    @property
    def cursor(self) -> str: ...
    @property
    def looked_at(self) -> int: ...


def print_found(
    schema: str,
    items: Sequence[Any],
    page: KeyPage,
    heads: Sequence[str],
    row: Callable[[Any], Sequence[Any]],
    *,
    as_json: bool,
) -> None:
    """What a page of keys held, where to go on, and how much was looked at. row: an item's cells, under the heads."""
    if as_json:
        found = {"items": items, "next": page.cursor or None, "looked_at": page.looked_at}
        print_json(schema, {**found, "complete": not page.cursor})
        return
    print_table(heads, map(row, items))
    if page.cursor:
        print(f"looked at about {page.looked_at} keys; go on with --cursor {page.cursor}")


def typed(text: str) -> str:
    """An argument that may be personal: "-" stands for a line of standard input, which no shell keeps."""
    return sys.stdin.readline().strip() if text == "-" else text


def confirm(act: str, *, yes: bool, word: str = "") -> None:
    """Ask before what cannot be undone. word: what must be typed, where many things are lost at once.

    Raises Misuse where nobody can be asked.
    """
    if yes:
        return
    act = printable(act)
    if not sys.stdin.isatty():
        raise Misuse(f"{act} cannot be undone, and nobody can be asked", hint="pass --yes")
    question = f"Type {printable(word)} to go on:" if word else "Go on? [y/N]"
    answer = _asked(f"{act}. This cannot be undone. {question}")
    if answer != word if word else answer.lower() not in ("y", "yes"):
        raise typer.Abort


def _asked(question: str) -> str:
    """What is typed. Standard output holds answers alone."""
    print(question, end=" ", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip()


class NoDuration:
    """A duration that is not there: its name ends in its unit all the same, so that a field has one name."""


_NO_DURATION = NoDuration()


def fields_of(answer: msgspec.Struct) -> dict[str, Any]:
    """A result's fields, by name."""
    found = {name: getattr(answer, name) for name in answer.__struct_fields__}
    missing = [name for name, value in found.items() if value is None and name in _durations(type(answer))]
    return found | dict.fromkeys(missing, _NO_DURATION)


@cache
def _durations(kind: type[msgspec.Struct]) -> frozenset[str]:
    """Names of fields that may hold a duration."""
    fields = msgspec.structs.fields(kind)
    return frozenset(each.name for each in fields if timedelta in (each.type, *get_args(each.type)))


def named(fields: Iterable[tuple[str, Any]]) -> Iterable[tuple[str, Any]]:
    """A duration's name ends in its unit."""
    return ((f"{name}_ms" if isinstance(value, timedelta | NoDuration) else name, value) for name, value in fields)


def plain(value: Any) -> Any:
    """What JSON can say: times in RFC 3339 with milliseconds, durations in milliseconds, results as objects."""
    match value:
        case msgspec.Struct():
            return {name: plain(each) for name, each in named(fields_of(value).items())}
        case NoDuration():
            return None
        case enum.Enum():
            return value.value
        case timedelta():
            return round(value.total_seconds() * 1000)
        case datetime():
            return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        case dict():
            return {str(name): plain(each) for name, each in named(value.items())}
        case list() | tuple() | frozenset() | set():
            return [plain(each) for each in value]
    return value


def print_table(
    heads: Sequence[str],
    rows: Iterable[Sequence[Any]],
    colours: Mapping[str, str] | None = None,
    *,
    wrap: bool = False,
    to: TextIO | None = None,
) -> None:
    """Rows under their heads, each on one line: what does not fit the terminal is cut, the widest column first.

    The first column, which names a row, is cut last. colours: of cells, by their text. wrap: sentences, which go on in
    the next line instead. to: default standard output.
    """
    from rich.console import Console

    width = _width()
    Console(file=to, width=None if wrap else width).print(table(heads, rows, colours, width=None if wrap else width))


def table(
    heads: Sequence[str],
    rows: Iterable[Sequence[Any]],
    colours: Mapping[str, str] | None = None,
    *,
    width: int | None,
) -> Table:
    """The same to be shown by whoever has a console. width: of that; None: cells go on in the next line."""
    from rich.cells import cell_len
    from rich.table import Table

    values = [tuple(row) for row in rows]
    texts = [[printable(_brief(each)) for each in row] for row in values]
    widths = [max(map(cell_len, column)) for column in zip(heads, *texts, strict=True)]
    gap = 2 if width is None or sum(widths) + 2 * len(widths) <= width else 1
    fitted: list[int | None] = [None] * len(widths) if width is None else [*_fitted(widths, gap, width)]
    made = Table(box=None, pad_edge=False, padding=(0, gap, 0, 0))
    for at, (head, most) in enumerate(zip(heads, fitted, strict=True)):
        number = bool(values) and all(isinstance(row[at], int) for row in values)
        made.add_column(
            head,
            width=most,
            no_wrap=most is not None,
            overflow="ellipsis" if most is not None else "fold",
            justify="right" if number else "left",
        )
    for row in texts:
        made.add_row(*(_coloured(each, colours or {}) for each in row))
    return made


def _width() -> int:
    """Of the terminal; where nobody looks, nothing is cut."""
    from rich.console import Console

    console = Console()
    return console.width if console.is_terminal or "COLUMNS" in os.environ else 10_000


def _fitted(natural: Sequence[int], gap: int, width: int) -> list[int]:
    widths = list(natural)
    excess = sum(widths) + gap * (len(widths) - 1) - width
    for columns in (range(1, len(widths)), range(len(widths))):
        while excess > 0 and columns and widths[widest := max(columns, key=widths.__getitem__)] > _NARROWEST:
            widths[widest] -= 1
            excess -= 1
    return widths


def print_fields(fields: Mapping[str, Any]) -> None:
    """One line for each, its name before it."""
    width = max(map(len, fields), default=0)
    for name, value in fields.items():
        print(f"{name.replace('_', ' '):<{width}}  {printable(spoken(value))}")


def _brief(value: Any) -> str:
    """For a table: moments to the minute, in UTC."""
    return f"{value.astimezone(UTC):%Y-%m-%d %H:%M}" if isinstance(value, datetime) else spoken(value)


def spoken(value: Any) -> str:
    """A value as people read it."""
    match value:
        case None | NoDuration():
            return "-"
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case timedelta():
            return _duration(value)
        case datetime():
            return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
        case enum.Enum():
            return str(value.value)
        case list() | tuple() | frozenset():
            return ", ".join(spoken(each) for each in value) or "-"
    return str(value) if value != "" else "-"


def _duration(value: timedelta) -> str:
    seconds = value.total_seconds()
    if abs(seconds) < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def _coloured(text: str, colours: Mapping[str, str]) -> str:
    from rich.markup import escape

    shown = escape(text)
    return f"[{colours[text]}]{shown}[/]" if text in colours else shown
