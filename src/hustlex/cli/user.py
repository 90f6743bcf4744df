"""``hustlex user``: what stands for one person, over all rooms."""

from __future__ import annotations

import typer

from hustlex.cli.client import Prefix, Url, opened
from hustlex.cli.output import AsJson, print_fields, print_json, typed
from hustlex.cli.session import User

user = typer.Typer(no_args_is_help=True)


@user.callback()
def group() -> None:
    """One user: sessions, revocations, PIN."""


@user.command()
def show(user: User, url: Url = None, prefix: Prefix = None, as_json: AsJson = False) -> None:
    """Sessions, the line before which all is revoked, and the PIN's attempts.

    Example: hustlex user show u7
    """
    user_id = typed(user)
    with opened(url, prefix=prefix) as hx:
        state, pin = hx.tokens.inspector.user(user_id), hx.pins.inspector.user(user_id)
        reference = hx.reference(user_id)
    if as_json:
        answer = {"reference": reference, "sessions": state.sessions, "revoked_before": state.revoked_before}
        print_json("user/1", {**answer, "pin": pin})
        return
    devices = [f"{each.device or each.client_id} ({each.last_network or 'network unknown'})" for each in state.sessions]
    print_fields({"reference": reference, "sessions": devices, "revoked before": state.revoked_before,
                  "wrong PINs": pin.wrong, "PIN locked for": pin.locked_for})  # fmt: skip
