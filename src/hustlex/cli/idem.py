"""``hustlex idem``: which payment is in doubt?"""

from __future__ import annotations

from typing import Annotated

import typer

from hustlex.cli.acts import acting
from hustlex.cli.client import Prefix, Url, opened
from hustlex.cli.output import AsJson, Yes, confirm, fields_of, print_done, print_fields, print_found, print_json

idem = typer.Typer(no_args_is_help=True)


@idem.callback()
def group() -> None:
    """Idempotency keys: claims that run, lapsed or are done."""


@idem.command()
def ls(
    cursor: Annotated[str, typer.Option(help="Where the page before ended")] = "",
    events: Annotated[bool, typer.Option("--events", help="Of providers' events, instead of clients' keys")] = False,
    url: Url = None,
    prefix: Prefix = None,
    as_json: AsJson = False,
) -> None:
    """Claims that are not done, the oldest first; those that lapsed are stuck until somebody finds out what they did.

    Looks at 10,000 keys of the server at a time.
    Example: hustlex idem ls --json | jq '.items[] | select(.state == "lapsed")'
    """
    with opened(url, prefix=prefix) as hx:
        look = hx.idempotency.inspector
        page = look.unfinished_events(cursor=cursor) if events else look.unfinished(cursor=cursor)
    heads = ("claim", "state", "point", "owners", "age", "lease left")
    print_found(
        "idem.list/1",
        page.claims,
        page,
        heads,
        lambda e: (e.record, e.state, e.point, e.fence, e.age, e.lease_left),
        as_json=as_json,
    )


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


@idem.command()
def release(
    claim: Annotated[str, typer.Argument(help="As ls prints it with --json: its record")],
    yes: Yes = False,
    url: Url = None,
    prefix: Prefix = None,
    as_json: AsJson = False,
) -> None:
    """Give back a claim whose owner is gone, so that the next request with its key executes.

    What the owner did may have happened, a payment too: ask the provider first. Refused while the owner lives, and
    when the request is done, whose answer is kept.
    Example: hustlex idem release 'app:idem:{u7}:POST%20/pay:0f2c9c1e77aa4b1e9d6f0f3c5a4f2b11' --yes
    """
    with opened(url, prefix=prefix) as hx:
        state = hx.idempotency.inspector.of_record(claim)
        reached = state.point or "none"
        if state.state == "lapsed":
            confirm(f"the effect may have happened (reached: {reached}), and the next request executes", yes=yes)
        fence = max(state.fence, 1)
        with acting(hx, "release", claim=claim, fence=str(fence)):
            hx.idempotency.inspector.release(claim, fence=fence)
    print_done(True, "idem.release/1", as_json=as_json)
