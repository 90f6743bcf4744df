"""``hustlex event``: does anybody listen, and what do they hear?"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal

import typer

from hustlex.cli.acts import acting
from hustlex.cli.client import Prefix, Url, opened
from hustlex.cli.output import AsJson, print_answer
from hustlex.cli.values import json_value

event = typer.Typer(no_args_is_help=True)

_MOST, _LONGEST = 10_000, timedelta(days=7)
"""Kept at most: what the application keeps is not known here, and must not be cut."""

Name = Annotated[str, typer.Argument(help="The channel, as orders:42")]
Kind = Annotated[
    Literal["live", "replay", "latest"], typer.Option(help="What the application declares: live, replay or latest")
]


@event.callback()
def group() -> None:
    """Live events: who listens, what is published; send one."""


@event.command()
def show(channel: Name, url: Url = None, prefix: Prefix = None, as_json: AsJson = False) -> None:
    """How many connections listen to a channel.

    Example: hustlex event show orders:42
    """
    with opened(url, prefix=prefix) as hx:
        answer = {"channel": channel, "connections": hx.events.inspector.listeners(channel)}
    print_answer("event/1", answer, as_json=as_json)


@event.command()
def publish(
    channel: Name,
    data: Annotated[str, typer.Argument(help="The event as JSON; - reads it from standard input")],
    kind: Kind = "live",
    url: Url = None,
    prefix: Prefix = None,
    as_json: AsJson = False,
) -> None:
    """Publish an event. Its kind must be the application's: only "replay" and "latest" keep what is sent.

    Example: hustlex event publish orders:42 '{"state": "paid"}' --kind replay
    """
    value = json_value("DATA", data)
    answer: dict[str, Any] = {"channel": channel, "connections": None, "position": None}
    with opened(url, prefix=prefix) as hx, acting(hx, "publish", channel=channel, kind=kind):
        if kind == "live":
            answer["connections"] = hx.events.channel(channel, Any).publish(value)
        else:
            answer["position"] = str(
                hx.events.channel(channel, Any, kind=kind, size=_MOST, ttl=_LONGEST).publish(value)
            )
    print_answer("event.publish/1", answer, as_json=as_json)
