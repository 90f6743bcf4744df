"""What the verbs were called with: a mistake of the caller's is told in one sentence; what a client typed never raises,
as long as it is text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from hustlex.core import check
from hustlex.errors import Misuse
from hustlex.otp.email import Email
from hustlex.otp.names import LANES
from hustlex.otp.rules import Policy, Risk

if TYPE_CHECKING:
    from hustlex.otp.flows import IssueRequest, VerifyRequest

_LONGEST_ABOUT = 100
_LONGEST_CHANNEL = 40


def asked(ask: IssueRequest) -> None:
    """Judge what ``issue`` was called with."""
    destination(ask.phone)
    address(ask.ip)
    lane(ask.lane)
    check.typed("device", ask.device)
    check.flag("deliver", ask.deliver)
    check.flag("human", ask.human)
    if ask.risk is not None:
        check.instance("risk", ask.risk, Risk)
    # One line: a beneficiary's name must not be able to add a line to a message, as the one that fills in a code.
    if not check.typed("about", ask.about).isprintable() or len(ask.about) > _LONGEST_ABOUT:
        raise Misuse(f"about is one line of at most {_LONGEST_ABOUT} characters", hint="shorten it, drop line breaks")
    uid(ask.uid)


def uid(value: object) -> str:
    """A user's id as text; "" for none."""
    return check.identity("user_id", value) if value != "" else ""


def answered(answer: VerifyRequest) -> None:
    """Judge what ``verify`` was called with."""
    check.typed("code", answer.code)
    if answer.nonce is not None:
        check.typed("nonce", answer.nonce)
    address(answer.ip)
    check.flag("remember", answer.remember)


def destination(to: object) -> None:
    """A phone or an e-mail address, as typed."""
    if not isinstance(to, Email):
        check.typed("phone", to)


def address(ip: object) -> None:
    """Where a request came from; whether it is an address shows where it is used."""
    if ip is not None:
        check.typed("ip", ip)


def lane(name: object) -> None:
    """One of the lanes."""
    check.one_of("lane", name, LANES)


def channel(name: object) -> None:
    """What a message went by."""
    check.text("channel", name, longest=_LONGEST_CHANNEL, blank=True)


def policy(policies: Mapping[str, Policy], purpose: object) -> Policy:
    """The policy of a purpose."""
    return policies[check.one_of("purpose", purpose, policies)]
