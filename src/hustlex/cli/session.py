"""``hustlex session``: who is logged in, and how is that ended?"""

from __future__ import annotations

from typing import Annotated

import typer

from hustlex.cli.acts import acting
from hustlex.cli.client import Prefix, Url, opened
from hustlex.cli.output import AsJson, confirm, fields_of, print_done, print_fields, print_json, print_table, typed

session = typer.Typer(no_args_is_help=True)

User = Annotated[str, typer.Argument(help="The user's id; - reads it from standard input")]
Id = Annotated[str, typer.Argument(help="The session's id, as `session ls` prints it")]


@session.callback()
def group() -> None:
    """Sessions of a user: list, explain, revoke."""


@session.command()
def ls(user: User, url: Url = None, prefix: Prefix = None, as_json: AsJson = False) -> None:
    """The living sessions of a user, newest first.

    Example: hustlex session ls u7
    """
    with opened(url, prefix=prefix) as hx:
        state = hx.tokens.inspector.user(typed(user))
    if as_json:
        print_json("session.list/1", {"items": state.sessions, "revoked_before": state.revoked_before})
        return
    heads = ("session", "client", "device", "network", "last seen", "expires")
    rows = ((s.session_id, s.client_id, s.device, s.last_network, s.last_seen_at, s.expires_at) for s in state.sessions)
    print_table(heads, rows)
    print_fields({"revoked before": state.revoked_before})


@session.command()
def show(user: User, session_id: Id, url: Url = None, prefix: Prefix = None, as_json: AsJson = False) -> None:
    """What became of one session, and why.

    Example: hustlex session show u7 Q2hlY2sgdGhpcyBvdXQhIQ
    """
    with opened(url, prefix=prefix) as hx:
        state = hx.tokens.inspector.session(typed(user), session_id)
    if as_json:
        print_json("session/1", fields_of(state))
    else:
        print_fields(fields_of(state))


@session.command()
def revoke(user: User, session_id: Id, url: Url = None, prefix: Prefix = None, as_json: AsJson = False) -> None:
    """End one session.

    Example: hustlex session revoke u7 Q2hlY2sgdGhpcyBvdXQhIQ
    """
    with opened(url, prefix=prefix) as hx:
        who = typed(user)
        with acting(hx, "revoke", user=who, session=session_id):
            done = hx.tokens.revoke_session(who, session_id).ended
    print_done(done, "session.revoke/1", as_json=as_json)


@session.command("revoke-all")
def revoke_all(
    user: User,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask")] = False,
    url: Url = None,
    prefix: Prefix = None,
    as_json: AsJson = False,
) -> None:
    """End all sessions and tokens a user has now.

    Example: hustlex session revoke-all u7 --yes
    """
    with opened(url, prefix=prefix) as hx:
        confirm("every session and token of this user ends", yes=yes)
        who = typed(user)
        with acting(hx, "revoke_all", user=who) as act:
            ended = act.count = hx.tokens.revoke_all(who).ended
    if as_json:
        print_json("session.revoke_all/1", {"ended": ended})
    else:
        print(f"{ended} sessions ended")
