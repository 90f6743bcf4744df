"""How commands answer: a table or lines for people, one JSON object with its schema's name for programs."""

from __future__ import annotations

import enum
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hustlex.core.printable import printable
from hustlex.errors import Misuse

AsJson = Annotated[bool, typer.Option("--json", help="One JSON object instead of text")]


def print_json(schema: str, answer: Mapping[str, Any]) -> None:
    """One object. schema: as ``otp.phone/1``; adding a field keeps the number, renaming one raises it."""
    head = {"schema": f"hustlex.{schema}", "as_of": plain(datetime.now(UTC))}
    print(json.dumps({**head, **{name: plain(value) for name, value in named(answer.items())}}))


def print_done(done: bool, schema: str, *, as_json: bool) -> None:
    """What an act did. done: False when there was nothing to change."""
    if as_json:
        print_json(schema, {"changed": done})
    else:
        print("done" if done else "there was nothing")


def typed(text: str) -> str:
    """An argument that may be personal: "-" stands for a line of standard input, which no shell keeps."""
    return sys.stdin.readline().strip() if text == "-" else text


def confirm(act: str, *, yes: bool) -> None:
    """Ask before what cannot be undone. Raises Misuse where nobody can be asked."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise Misuse(f"{act} cannot be undone, and nobody can be asked", hint="pass --yes")
    typer.confirm(f"{act}. This cannot be undone. Go on?", abort=True, err=True)


def fields_of(answer: msgspec.Struct) -> dict[str, Any]:
    """A result's fields, by name."""
    return {name: getattr(answer, name) for name in answer.__struct_fields__}


def named(fields: Iterable[tuple[str, Any]]) -> Iterable[tuple[str, Any]]:
    """A duration's name ends in its unit."""
    return ((f"{name}_ms" if isinstance(value, timedelta) else name, value) for name, value in fields)


def plain(value: Any) -> Any:
    """What JSON can say: times in RFC 3339 with milliseconds, durations in milliseconds, results as objects."""
    match value:
        case msgspec.Struct():
            return {name: plain(each) for name, each in named(fields_of(value).items())}
        case enum.Enum():
            return value.value
        case timedelta():
            return round(value.total_seconds() * 1000)
        case datetime():
            return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        case dict():
            return {str(name): plain(each) for name, each in value.items()}
        case list() | tuple() | frozenset() | set():
            return [plain(each) for each in value]
    return value


def print_table(heads: Sequence[str], rows: Iterable[Sequence[Any]], colours: Mapping[str, str] | None = None) -> None:
    """Rows under their heads. colours: of cells, by their text."""
    table = Table(*heads, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(_cell(spoken(each), colours or {}) for each in row))
    Console().print(table)


def print_fields(fields: Mapping[str, Any]) -> None:
    """One line for each, its name before it."""
    width = max(map(len, fields), default=0)
    for name, value in fields.items():
        print(f"{name.replace('_', ' '):<{width}}  {printable(spoken(value))}")


def spoken(value: Any) -> str:
    """A value as people read it."""
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case timedelta():
            return _duration(value)
        case datetime():
            return f"{value:%Y-%m-%d %H:%M:%S} UTC"
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


def _cell(text: str, colours: Mapping[str, str]) -> str:
    shown = escape(printable(text))
    return f"[{colours[text]}]{shown}[/]" if text in colours else shown
