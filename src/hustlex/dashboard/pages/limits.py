"""``/limits``: what does a limit promise, and what is left of it for one caller?"""

from __future__ import annotations

import warnings

from hustlex.dashboard import rooms
from hustlex.dashboard.request import PageContent, PageRequest
from hustlex.dashboard.rooms import RoomView
from hustlex.metrics.refused import MOST_ASKED, RefusedCaller, refused_callers
from hustlex.people.person import declared_limits, limit_of
from hustlex.ratelimit import parse_rule, sheet

_POLICIES = MOST_ASKED
_CALLERS = 50
_DECLARED = 200


async def limits(request: PageRequest) -> PageContent:
    """A rule as one line of text, or a limit that was declared, and a caller."""
    history, look = await rooms.view(request, "limits"), request.hx.ratelimit.inspector
    values: dict[str, object] = {"rule": "", "who": "", "endpoint": "", "limit": "", "sheet": None, "found": None}
    values |= {name: request.given(name) for name in ("rule", "who", "endpoint", "limit")}
    values |= {"declared": list(declared_limits(request.rules))[:_DECLARED], "history": history}
    values |= {"callers": await _refused_most(request, history), "bans": await look.bans(cursor=request.word("cursor"))}
    return PageContent("limits", "Limits", values | await _asked(request))


async def _asked(request: PageRequest) -> dict[str, object]:
    """What a rule promises, and what is left of it for a caller; nothing when nothing was asked."""
    text, who, name = request.given("rule"), request.given("who"), request.given("limit")
    rules = declared_limits(request.rules).get(name) if name else None
    if text:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the sheet says it better
            rule = parse_rule(text)
            place = request.given("endpoint") or rule.endpoint
            rules, name = (rule,), ""
            found = sheet(rule.policy)
        asked = who or rule.who == "global"
        decided = await limit_of(request.hx, place, rules, who, endpoint=place) if asked else None
        return {"sheet": found, "found": decided, "limit": ""}
    if rules is None or not (who or rules[0].who == "global"):
        return {}
    return {"found": await limit_of(request.hx, name, rules, who), "who": who or "everybody"}


async def _refused_most(request: PageRequest, history: RoomView) -> tuple[RefusedCaller, ...]:
    """Of the policy that is shown, else of those that refused most."""
    worst = [row.name for row in sorted(history.rows, key=lambda row: -row.counts[1]) if row.counts[1]]
    policies = [history.label] if history.label else worst[:_POLICIES]
    if not policies:
        return ()
    found = await refused_callers(
        request.hx, policies, max_callers=_CALLERS if history.label else _CALLERS // _POLICIES
    )
    return tuple(sorted(found, key=lambda each: -each.times))
