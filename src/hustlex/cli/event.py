"""``hustlex event``: does anybody listen?"""

from __future__ import annotations

from typing import Annotated

import typer

from hustlex.cli.client import Prefix, Url, opened
from hustlex.cli.output import AsJson, print_fields, print_json

event = typer.Typer(no_args_is_help=True)


@event.callback()
def group() -> None:
    """Live events: who listens."""


@event.command()
def show(
    channel: Annotated[str, typer.Argument(help="The channel, as orders:42")],
    url: Url = None,
    prefix: Prefix = None,
    as_json: AsJson = False,
) -> None:
    """How many connections listen to a channel.

    Example: hustlex event show orders:42
    """
    with opened(url, prefix=prefix) as hx:
        answer = {"channel": channel, "connections": hx.events.inspector.listeners(channel)}
    if as_json:
        print_json("event/1", answer)
    else:
        print_fields(answer)
