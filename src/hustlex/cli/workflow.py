"""``hustlex workflow``: which step holds up the rest?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hustlex.cli.client import Url, opened
from hustlex.cli.hidden import visible
from hustlex.cli.output import AsJson, print_json, print_table
from hustlex.core.printable import printable
from hustlex.errors import NotFound
from hustlex.jobs import Explanation, OpenStep, StepName

if TYPE_CHECKING:
    from hustlex.sync import HustleX

workflow = typer.Typer(no_args_is_help=True)

_PAGE, _MOST = 1_000, 20_000
_COLOURS = {"archived": "bold red", "gone": "bold red", "active": "green"}


@workflow.callback()
def group() -> None:
    """Workflows: steps that others wait for, and why they do not go on."""


@workflow.command()
def ls(
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=1_000, help="About so many")] = 50,
    cursor: Annotated[str, typer.Option(help="Where the page before ended")] = "",
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Open steps of all workflows, a line each: where it is, and how many wait for it.

    Example: hustlex workflow ls
    """
    with opened(url) as hx:
        found = hx.jobs.inspector.open_steps(cursor=cursor, size=limit)
    if as_json:
        items = [{"workflow": _workflow(each.id), **_fields(each)} for each in found.steps]
        print_json("workflow.list/2", {"items": items, "next": found.cursor or None, "complete": not found.cursor})
        return
    rows = ((_workflow(each.id), each.id.rpartition(":")[2], each.queue, each.state or "gone", len(each.followed_by))
            for each in found.steps)  # fmt: skip
    print_table(("workflow", "step", "queue", "state", "waiting"), rows, _COLOURS)
    if found.cursor:
        print(f"\ngo on with --cursor {found.cursor}")


@workflow.command()
def show(
    workflow_id: Annotated[str, typer.Argument(metavar="WORKFLOW", help="Its id, as `workflow ls` prints it")],
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """The steps of one workflow that are not over, in words: where each is, and what it waits for.

    Looks at up to 20,000 open steps.
    Exit codes: 0; 4 when no step is open: it has ended, or never was.
    Example: hustlex workflow show 0d3f6c1e-5a41-4a53-9a57-2f6f1a0d7c11
    """
    with opened(url) as hx:
        names = _names(hx, workflow_id)
        if not names:
            raise NotFound(
                f"no step of a workflow {workflow_id!r} is open", hint="it has ended, or there never was one"
            )
        found = [hx.jobs.explain(name.id, queue=name.queue) for name in names]
    if as_json:
        print_json("workflow/1", {"workflow": workflow_id, "steps": [_explained(each) for each in found]})
        return
    for each in found:
        state = each.state.value if each.state else "not started"
        print(printable(f"{each.id}  {each.queue}  {state}"))
        print("\n".join(printable(f"  {visible('error', sentence)}") for sentence in each.words))


def _names(hx: HustleX, workflow_id: str) -> list[StepName]:
    """Its open steps and those behind them, in order."""
    found = {name for step in _open(hx) for name in (StepName(step.queue, step.id), *step.followed_by)}
    return sorted((name for name in found if _workflow(name.id) == workflow_id), key=_position)


def _open(hx: HustleX) -> Iterator[OpenStep]:
    cursor = ""
    for _ in range(_MOST // _PAGE):
        found = hx.jobs.inspector.open_steps(cursor=cursor, size=_PAGE)
        yield from found.steps
        if not (cursor := found.cursor):
            return


def _workflow(step: str) -> str:
    """A step's id is the workflow's, a colon, and its position."""
    return step.rpartition(":")[0] or step


def _position(name: StepName) -> tuple[int, str]:
    position = name.id.rpartition(":")[2]
    return (int(position) if position.isascii() and position.isdecimal() else 0), name.id


def _fields(step: OpenStep) -> dict[str, Any]:
    return {"queue": step.queue, "id": step.id, "state": step.state, "followed_by": step.followed_by}


def _explained(found: Explanation) -> dict[str, Any]:
    words = [visible("error", each) for each in found.words]
    return {"id": found.id, "queue": found.queue, "state": found.state, "causes": found.causes, "words": words}
