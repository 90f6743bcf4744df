"""``hustlex otp``: why does this phone get no code?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hustlex.cli.client import Prefix, Url, opened
from hustlex.cli.output import AsJson, fields_of, print_done, print_fields, print_json, print_table, typed
from hustlex.errors import Misuse

if TYPE_CHECKING:
    from hustlex.otp import Email, PhoneState

otp = typer.Typer(no_args_is_help=True)

Phone = Annotated[str, typer.Argument(help="A phone, or an e-mail address; - reads it from standard input")]


@otp.callback()
def group() -> None:
    """One-time codes: how a phone or a country stands."""


@otp.command()
def status(
    phone: Phone,
    purpose: Annotated[list[str] | None, typer.Option(help="A purpose of your own to look for, repeatable")] = None,
    url: Url = None,
    prefix: Prefix = None,
    as_json: AsJson = False,
) -> None:
    """Lanes, locks, open codes, caps and breakers of one phone; never a code. Caps are shown by the default options.

    Example: echo +2348031234567 | hustlex otp status -
    """
    with opened(url, prefix=prefix) as hx:
        state = hx.otp.inspector.phone(destination(phone), purposes=tuple(purpose or ()))
    if as_json:
        print_json("otp.status/1", fields_of(state))
        return
    print_phone(state)


def print_phone(state: PhoneState) -> None:
    """Lanes, open codes and caps of one phone."""
    print_fields({"reference": state.ref, "remembered devices": state.devices})
    print()
    heads = ("lane", "sends in 24 h", "next send in", "wrong codes", "locked for", "locks in a row")
    rows = ((e.lane, e.sends, e.next_send_in, e.wrong, e.locked_for, e.locks) for e in state.lanes)
    print_table(heads, rows)
    print_table(("open code for", "lane", "expires in"), ((e.purpose, e.lane, e.expires_in) for e in state.open))
    heads = ("counted with", "used", "of", "sent in an hour", "verified", "slowed down")
    print_table(heads, ((e.scope, e.used, e.most, e.sent, e.verified, e.slowed) for e in state.scopes))


@otp.command()
def country(
    region: Annotated[str, typer.Argument(help="Two capital letters, as NG")],
    url: Url = None,
    prefix: Prefix = None,
    as_json: AsJson = False,
) -> None:
    """Cap, breaker and budget of one country.

    Example: hustlex otp country NG
    """
    with opened(url, prefix=prefix) as hx:
        state = hx.otp.inspector.country(region)
    if as_json:
        print_json("otp.country/1", fields_of(state))
    else:
        print_fields(fields_of(state))


@otp.command()
def unlock(
    phone: Phone,
    lane: Annotated[str, typer.Option(help="anon: of strangers; known: of devices that proved themselves")] = "anon",
    url: Url = None,
    prefix: Prefix = None,
    as_json: AsJson = False,
) -> None:
    """Forget a lane's lock and wrong codes; written to the log.

    Example: echo +2348031234567 | hustlex otp unlock - --lane known
    """
    if lane not in ("anon", "known"):
        raise Misuse(f"--lane cannot be {lane!r}", hint="pass anon or known")
    with opened(url, prefix=prefix) as hx:
        done = hx.otp.unlock(destination(phone), "known" if lane == "known" else "anon")
    print_done(done, "otp.unlock/1", as_json=as_json)


def destination(phone: str) -> str | Email:
    """A phone, or an e-mail address; - is read from standard input."""
    from hustlex.otp import Email

    text = typed(phone)
    return Email(text) if "@" in text else text
