"""``/people``: is this person's account taken over, why does the code not come, and how is that mended?

A phone or an id is sent with the form and stands in no address; what is kept of it is a keyed stand-in.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from hustlex.dashboard.request import PageContent, PageRequest
from hustlex.dashboard.words import duration
from hustlex.otp.look import PhoneState
from hustlex.pins.look import PinState
from hustlex.tokens.look import UserState

if TYPE_CHECKING:
    from hustlex.otp import Email


async def people(request: PageRequest) -> PageContent:
    """One user's sessions and PIN, or one phone's codes."""
    user, phone = request.given("user"), request.given("phone")
    values: dict[str, object] = {"user": user, "phone": phone, "state": None, "pin": None, "codes": None, "words": []}
    if user:
        state = await request.hx.tokens.inspector.user(user)
        pin = await request.hx.pins.inspector.user(user)
        values |= {"state": state, "pin": pin, "words": list(_of_user(state, pin))}
    elif phone:
        codes = await request.hx.otp.inspector.phone(destination(phone))
        values |= {"codes": codes, "words": list(_of_phone(codes))}
    values["reference"] = request.hx.reference(user) if user else ""
    return PageContent("people", "People", values)


def destination(text: str) -> str | Email:
    """A phone, or an e-mail address."""
    from hustlex.otp import Email

    return Email(text) if "@" in text else text


def _of_user(state: UserState, pin: PinState) -> Iterator[str]:
    """Why somebody is logged out or cannot pay, a sentence each."""
    if not state.sessions:
        yield "Nobody is logged in as this user."
    if state.revoked_before is not None:
        line = f"{state.revoked_before:%Y-%m-%d %H:%M:%S} UTC"
        yield f"Everything issued up to {line} was revoked: who was logged in had to log in anew."
    if pin.locked_for:
        yield f"The PIN is locked for {duration(pin.locked_for)}, after too many wrong attempts."
    elif pin.wrong:
        yield f"{pin.wrong} wrong PINs since the last right one; {pin.left} more lock it."


def _of_phone(state: PhoneState) -> Iterator[str]:
    """Why no code comes, or none is taken, a sentence each."""
    for lane in state.lanes:
        who = {
            "anon": "strangers and new devices",
            "known": "devices that proved themselves",
            "extra": "the extra lane",
        }[lane.lane]
        if lane.locked_for:
            yield f"For {who} it is locked for {duration(lane.locked_for)}, after too many wrong codes."
        if lane.next_send_in:
            yield f"For {who} the next code may be sent in {duration(lane.next_send_in)}."
    for scope in state.scopes:
        if scope.used >= scope.most:
            yield f"The cap of its {scope.scope} is used up: {scope.used} of {scope.most}."
        if scope.slowed:
            yield f"Codes of its {scope.scope} are slowed down: {scope.sent} sent in an hour, {scope.verified} typed."
    if state.open:
        yield f"{len(state.open)} codes can still be used."
