"""``hustlex user``: what stands for one person, over all rooms."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hustlex.cli.client import Prefix, Url, opened
from hustlex.cli.otp import destination, print_phone
from hustlex.cli.output import AsJson, print_fields, print_json, typed
from hustlex.errors import Misuse

if TYPE_CHECKING:
    from hustlex.otp import PhoneState
    from hustlex.sync import HustleX

user = typer.Typer(no_args_is_help=True)

_PHONE = re.compile(r"\+[0-9 ()-]{7,24}|[^@\s]+@[^@\s]+")


@user.callback()
def group() -> None:
    """One person: sessions, revocations, PIN, codes."""


@user.command()
def show(
    who: Annotated[str, typer.Argument(metavar="PHONE", help="Their id or phone; - reads it from standard input")],
    phone: Annotated[
        str | None, typer.Option("--phone", help="Their phone or mail, where that is not the id; - reads it")
    ] = None,
    url: Url = None,
    prefix: Prefix = None,
    as_json: AsJson = False,
) -> None:
    """Sessions, the line before which all is revoked, the PIN's attempts; of a phone also lanes, locks and open codes.

    Example: echo +2348031234567 | hustlex user show -
    """
    user_id = typed(who)
    address = user_id if phone is None else typed(phone)
    with opened(url, prefix=prefix) as hx:
        state, pin = hx.tokens.inspector.user(user_id), hx.pins.inspector.user(user_id)
        reference, codes = hx.reference(user_id), _codes(hx, address, given=phone is not None)
    if as_json:
        answer: dict[str, Any] = {"reference": reference, "sessions": state.sessions, "pin": pin, "codes": codes}
        print_json("user/1", {**answer, "revoked_before": state.revoked_before})
        return
    devices = [f"{each.device or each.client_id} ({each.last_network or 'network unknown'})" for each in state.sessions]
    print_fields({"reference": reference, "sessions": devices, "revoked before": state.revoked_before,
                  "wrong PINs": pin.wrong, "PIN locked for": pin.locked_for})  # fmt: skip
    if codes is not None:
        print()
        print_phone(codes)


def _codes(hx: HustleX, address: str, *, given: bool) -> PhoneState | None:
    """None for an id that is no phone. given: it was said to be one. Raises Misuse then."""
    if not given and not _PHONE.fullmatch(address):
        return None
    try:
        return hx.otp.inspector.phone(destination(address))
    except Misuse:
        if given:
            raise
        return None
