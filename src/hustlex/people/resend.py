"""A code is sent again by the application, which alone knows what its client asked for; an operator asks it to."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from hustlex.core import check
from hustlex.core.logs import logger
from hustlex.core.outcome import Failure
from hustlex.errors import Conflict, Error, OutcomeUnknown
from hustlex.otp import Email
from hustlex.people.person import destination

Resend = Callable[[str | Email], Any]
"""``async def send_again(to) -> Outcome | bool | None``: sends the person behind this phone or address a code again, by
``Otp.issue`` or ``Otp.resend``, so that lanes, limits and caps count. A failure of these, or False: none was sent."""

_log = logger("hustlex.people")


async def send_again(resend: Resend, phone: str) -> None:
    """Ask the application. Raises Conflict when nothing was sent, OutcomeUnknown when it failed, Misuse."""
    to = destination(check.text("phone", phone))
    try:
        answer = resend(to)
        if inspect.isawaitable(answer):
            answer = await answer
    except Error:
        raise
    except Exception as error:  # noqa: BLE001 - the application's own code, whose words may hold the phone
        _log.error("the application failed while it was to send a code again: %s", type(error).__name__)
        raise OutcomeUnknown(
            "the application failed while it was to send a code again",
            hint="its log says why; a code may have gone out",
        ) from None
    if answer is False or isinstance(answer, Failure):
        why = "the application refused it" if answer is False else f"the answer was {type(answer).__name__}"
        raise Conflict(
            f"nothing was sent: {why}", hint="the lanes on the person's page say what they may have, and when"
        )
