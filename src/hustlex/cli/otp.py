"""``hustlex otp``: why does this phone get no code?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hustlex.cli.acts import acting
from hustlex.cli.client import Prefix, Url, opened
from hustlex.cli.output import (
    AsJson,
    Yes,
    confirm,
    fields_of,
    print_done,
    print_fields,
    print_found,
    print_json,
    print_table,
    typed,
)
from hustlex.core import check
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


@otp.command("breakers")
def slowed(
    cursor: Annotated[str, typer.Option(help="Where the page before ended")] = "",
    url: Url = None,
    prefix: Prefix = None,
    as_json: AsJson = False,
) -> None:
    """Countries, prefixes and other scopes whose messages are slowed down, because their codes are not typed.

    Looks at 10,000 keys of the server at a time.
    Example: hustlex otp breakers
    """
    with opened(url, prefix=prefix) as hx:
        page = hx.otp.inspector.breakers(cursor=cursor)
    heads = ("breaker", "scope", "since", "sent in an hour", "typed", "next in")
    print_found(
        "otp.breaker.list/1",
        page.breakers,
        page,
        heads,
        lambda e: (e.name, e.scope, e.since, e.sent, e.verified, e.next_in),
        as_json=as_json,
    )


@otp.command("close-breaker")
def close_breaker(
    name: Annotated[str, typer.Argument(help="As `otp breakers` prints it: cc:NG, pfx:2348031")],
    yes: Yes = False,
    url: Url = None,
    prefix: Prefix = None,
    as_json: AsJson = False,
) -> None:
    """Let the messages of a scope pass again; what its hour says so far is forgotten.

    Messages that nobody asked for pass again as well, and cost money, until it trips anew.
    Example: hustlex otp close-breaker pfx:2348031 --yes
    """
    with opened(url, prefix=prefix) as hx:
        confirm(f"messages to {name} pass again, those that nobody asked for as well", yes=yes)
        with acting(hx, "close_breaker", breaker=name) as act:
            done = hx.otp.close_breaker(name)
            act.failed = "" if done else "Conflict"
    print_done(done, "otp.close_breaker/1", as_json=as_json)


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
    text = typed(phone)
    with opened(url, prefix=prefix) as hx, acting(hx, "unlock", phone=text, lane=lane):
        done = hx.otp.unlock(destination(text), "known" if lane == "known" else "anon")
    print_done(done, "otp.unlock/1", as_json=as_json)


@otp.command()
def resend(
    phone: Phone,
    by: Annotated[str, typer.Option(help="The application's function that sends it, as codes:send_again")],
    url: Url = None,
    prefix: Prefix = None,
    as_json: AsJson = False,
) -> None:
    """Have the application send a code again: to this phone alone, within the same limits; nobody sees the code.

    Example: echo +2348031234567 | hustlex otp resend - --by codes:send_again
    """
    import asyncio

    from hustlex.cli.backend import load_attribute
    from hustlex.people.resend import send_again

    sends, text = check.function("--by", load_attribute(by, "resend")), typed(phone)
    with opened(url, prefix=prefix) as hx, acting(hx, "resend", phone=text):
        asyncio.run(send_again(sends, text))
    print_done(True, "otp.resend/1", as_json=as_json)


def destination(phone: str) -> str | Email:
    """A phone, or an e-mail address; - is read from standard input."""
    from hustlex.otp import Email

    text = typed(phone)
    return Email(text) if "@" in text else text
