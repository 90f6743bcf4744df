"""``/people``: is this person's account taken over, why does the code not come, who was charged twice, and how is it
mended?

A phone or an id is sent with the form and stands in no address; what is kept of it is a keyed stand-in.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial

from hustlex.dashboard.request import PageContent, PageRequest
from hustlex.people.person import PATH_OF_USER, PersonSight, PersonState, look_up
from hustlex.people.timeline import answers, timeline


async def people(request: PageRequest) -> PageContent:
    """What the rooms know of a user, of a phone, or of both."""
    user, phone = request.given("user"), request.given("phone")
    found = await look_up(request.hx, _sight(request), user, phone) if user or phone else PersonState()
    values = {
        "user": user, "phone": phone, "person": found, "path": request.given("place"), "path_of_user": PATH_OF_USER,
        "answers": answers(found), "timeline": timeline(found, datetime.now(UTC)),
    }  # fmt: skip
    return PageContent("people", "People", values)


def _sight(request: PageRequest) -> PersonSight:
    from hustlex.dashboard.pages.audit import may_see  # which imports the acts, and they this

    operator = request.operator
    return PersonSight(
        sees_room=operator.sees_room, sees_queue=operator.sees_queue, sees_note=partial(may_see, operator),
        view=request.view(), rules=request.rules, channels=request.channels, place=request.given("place"),
        after=request.form.get("cursor", ""), claims_after=request.given("claims"),
    )  # fmt: skip
