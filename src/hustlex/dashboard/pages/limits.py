"""``/limits``: what does a limit promise, and what is left of it for one caller?"""

from __future__ import annotations

import warnings

from hustlex.dashboard import rooms
from hustlex.dashboard.request import PageContent, PageRequest
from hustlex.dashboard.rooms import RoomView
from hustlex.metrics.refused import MOST_ASKED, RefusedCaller, refused_callers
from hustlex.ratelimit import Rule, caller_of, parse_rule, sheet

_POLICIES = MOST_ASKED
_CALLERS = 50


async def limits(request: PageRequest) -> PageContent:
    """A rule as one line of text, as the application declares it, and a caller."""
    text, who, endpoint = request.given("rule"), request.given("who"), request.given("endpoint")
    values: dict[str, object] = {
        "rule": text, "who": who, "endpoint": endpoint, "sheet": None, "decision": None, "marks": ()
    }  # fmt: skip
    history = await rooms.view(request, "limits")
    values |= {"history": history, "callers": await _refused_most(request, history)}
    if text:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the sheet says it better
            rule = parse_rule(text)
            values["sheet"] = sheet(rule.policy)
        if who or rule.who == "global":
            place, identity = endpoint or rule.endpoint, _identity(rule, who)
            values["decision"] = await request.hx.ratelimit.peek(rule.policy, identity, endpoint=place)
            values["marks"] = await request.hx.ratelimit.inspector.caller(rule.policy, identity, endpoint=place)
    return PageContent("limits", "Limits", values)


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


def _identity(rule: Rule, who: str) -> str:
    if rule.who == "global":
        return "global"
    return f"ip:{who}" if rule.who == "ip" else caller_of(rule.who, who)
