"""``hustlex idem``: which payment is in doubt?"""

from __future__ import annotations

from typing import Annotated

import typer

from hustlex.cli.client import Prefix, Url, opened
from hustlex.cli.output import AsJson, fields_of, print_fields, print_json, print_table

idem = typer.Typer(no_args_is_help=True)


@idem.callback()
def group() -> None:
    """Idempotency keys: claims that run, lapsed or are done."""


@idem.command()
def ls(
    cursor: Annotated[str, typer.Option(help="Where the page before ended")] = "",
    url: Url = None,
    prefix: Prefix = None,
    as_json: AsJson = False,
) -> None:
    """Claims that are not done, the oldest first; those that lapsed are stuck until somebody finds out what they did.

    Looks at 10,000 keys of the server at a time.
    Example: hustlex idem ls --json | jq '.items[] | select(.state == "lapsed")'
    """
    with opened(url, prefix=prefix) as hx:
        page = hx.idempotency.inspector.unfinished(cursor=cursor)
    if as_json:
        answer = {"items": page.claims, "next": page.cursor or None, "looked_at": page.looked_at}
        print_json("idem.list/1", {**answer, "complete": not page.cursor})
        return
    heads = ("claim", "state", "point", "age", "lease left")
    print_table(heads, ((e.record, e.state, e.point, e.age, e.lease_left) for e in page.claims))
    if page.cursor:
        print(f"looked at about {page.looked_at} keys; go on with --cursor {page.cursor}")


@idem.command()
def show(
    user: Annotated[str, typer.Argument(help="Who asked: the principal of the scope")],
    method: Annotated[str, typer.Argument(help="As POST")],
    route: Annotated[str, typer.Argument(help="The route's template, as /transfers/{id}")],
    key: Annotated[str, typer.Argument(help="The key, as the client sent it")],
    url: Url = None,
    prefix: Prefix = None,
    as_json: AsJson = False,
) -> None:
    """How far one claim came; never what was asked or answered.

    Example: hustlex idem show u7 POST /transfers 5f2c9c1e
    """
    from hustlex.idempotency import Scope

    with opened(url, prefix=prefix) as hx:
        state = hx.idempotency.inspector.claim(key, Scope(user, method, route))
    if as_json:
        print_json("idem/1", fields_of(state))
    else:
        print_fields(fields_of(state))
