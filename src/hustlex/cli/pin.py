"""``hustlex pin``: is somebody locked out?"""

from __future__ import annotations

import typer

from hustlex.cli.acts import acting
from hustlex.cli.client import Prefix, Url, opened
from hustlex.cli.output import AsJson, fields_of, print_done, print_fields, print_json, typed
from hustlex.cli.session import User

pin = typer.Typer(no_args_is_help=True)


@pin.callback()
def group() -> None:
    """Transaction PINs: attempts and locks."""


@pin.command()
def show(user: User, url: Url = None, prefix: Prefix = None, as_json: AsJson = False) -> None:
    """Attempts and lock of one user; attempts left are shown by the default options.

    Example: hustlex pin show u7
    """
    with opened(url, prefix=prefix) as hx:
        state = hx.pins.inspector.user(typed(user))
    if as_json:
        print_json("pin/1", fields_of(state))
    else:
        print_fields(fields_of(state))


@pin.command()
def reset(user: User, url: Url = None, prefix: Prefix = None, as_json: AsJson = False) -> None:
    """Forgive all attempts and lift the lock, after the user has proved otherwise who they are.

    Example: hustlex pin reset u7
    """
    with opened(url, prefix=prefix) as hx:
        who = typed(user)
        with acting(hx, "reset_pin", user=who):
            done = hx.pins.reset(who)
    print_done(done, "pin.reset/1", as_json=as_json)
