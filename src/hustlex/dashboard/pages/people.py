"""``/people``: is this person's account taken over, why does the code not come, who was charged twice, and how is it
mended?

A phone or an id is sent with the form and stands in no address; what is kept of it is a keyed stand-in.
"""

from __future__ import annotations

from datetime import UTC, datetime

from hustlex.dashboard.person import PATH_OF_USER, PersonState, look_up
from hustlex.dashboard.person_timeline import answers, timeline
from hustlex.dashboard.request import PageContent, PageRequest


async def people(request: PageRequest) -> PageContent:
    """What the rooms know of a user, of a phone, or of both."""
    user, phone = request.given("user"), request.given("phone")
    found = await look_up(request, user, phone) if user or phone else PersonState()
    values = {
        "user": user, "phone": phone, "person": found, "path": request.given("place"), "path_of_user": PATH_OF_USER,
        "answers": answers(found), "timeline": timeline(found, datetime.now(UTC)),
    }  # fmt: skip
    return PageContent("people", "People", values)
