"""``hustlex audit``: who did what, through the console and by commands?"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hustlex.cli.client import Prefix, Url, opened
from hustlex.cli.hidden import visible
from hustlex.cli.output import AsJson, print_json, print_table
from hustlex.cli.values import moment
from hustlex.errors import Misuse
from hustlex.people.notes import AuditEntry, Endings, ended, is_id, notes

if TYPE_CHECKING:
    from hustlex.sync import HustleX

audit = typer.Typer(no_args_is_help=True)

_MOST_LOOKED, _CHUNK = 20_000, 500
_COLOURS = {"failed": "yellow", "refused": "bold red", "intent": "yellow"}
_TEXTS = ("name", "via", "verb", "target", "queue", "phase", "count", "error", "before", "after")


@audit.callback()
def group() -> None:
    """What operators did: each act of the console and of commands, and how it ended."""


@audit.command()
def ls(
    who: Annotated[str, typer.Option(help="A part of who did it")] = "",
    what: Annotated[str, typer.Option(help="A part of the verb, of what it was done to, or of how it ended")] = "",
    since: Annotated[str | None, typer.Option(help="Not before this moment, with its zone")] = None,
    until: Annotated[str | None, typer.Option(help="Not after this moment, with its zone")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="At most so many")] = 50,
    cursor: Annotated[str, typer.Option(help="Where the answer before ended")] = "",
    url: Url = None,
    prefix: Prefix = None,
    as_json: AsJson = False,
) -> None:
    """What was done and tried, the newest first: who, by web or cli, what, to what, and how it ended.

    An act is one line: "intent" means that its end was never written down. About 20,000 entries are kept.
    Example: hustlex audit ls --what delete --limit 20
    """
    span = [None if text is None else round(moment(name, text).timestamp() * 1000)
            for name, text in (("--since", since), ("--until", until))]  # fmt: skip
    if cursor and not is_id(cursor):
        raise Misuse("--cursor is not where an answer ended", hint="pass what `audit ls` printed last, or leave it out")
    with opened(url, prefix=prefix) as hx:
        items, more = _found(hx, who, what, span, limit, cursor)
    if as_json:
        print_json("audit.list/1", {"items": items, "next": more or None, "complete": not more})
        return
    rows = ((e["at"], e["name"], e["via"], e["verb"], e["phase"], e["error"] or e["count"], e["target"]) for e in items)
    print_table(("when", "who", "via", "what", "outcome", "", "to what"), rows, _COLOURS)
    if more:
        print(f"\nthere are more: --cursor {more}")


def _found(
    hx: HustleX, who: str, what: str, span: list[int | None], limit: int, cursor: str
) -> tuple[list[dict[str, Any]], str]:
    """So many, and where to go on; "" = no more."""
    before = hx.driver.run(ended(hx.prefix, cursor)) if cursor else []
    found, endings = list[dict[str, Any]](), Endings(before)
    for _ in range(0, _MOST_LOOKED, _CHUNK):
        entries = hx.driver.run(notes(hx.prefix, cursor, _CHUNK, *span))
        for entry in entries:
            if not endings.supersede(entry) and _fits(item := _answer(entry), who, what):
                if len(found) == limit:
                    return found, cursor
                found.append(item)
            cursor = entry.id
        if len(entries) < _CHUNK:
            return found, ""
    return found, cursor


def _fits(item: dict[str, Any], who: str, what: str) -> bool:
    told = " ".join(item[name] for name in _TEXTS[2:])
    return who.casefold() in item["name"].casefold() and what.casefold() in told.casefold()


def _answer(entry: AuditEntry) -> dict[str, Any]:
    texts = {name: str(visible("audit", entry.fields.get(name, ""))) for name in _TEXTS}
    at = datetime.fromtimestamp(int(entry.id.partition("-")[0]) / 1000, UTC)
    return {"id": entry.id, "at": at, **texts, "via": texts["via"] or "web"}
