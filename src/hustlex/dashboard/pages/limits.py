"""``/limits``: what does a limit promise, and what is left of it for one caller?"""

from __future__ import annotations

import warnings

from hustlex.dashboard import rooms
from hustlex.dashboard.request import PageContent, PageRequest
from hustlex.ratelimit import Rule, caller_of, parse_rule, sheet


async def limits(request: PageRequest) -> PageContent:
    """A rule as one line of text, as the application declares it, and a caller."""
    text, who, endpoint = request.given("rule"), request.given("who"), request.given("endpoint")
    values: dict[str, object] = {
        "rule": text, "who": who, "endpoint": endpoint, "sheet": None, "decision": None, "marks": ()
    }  # fmt: skip
    values["history"] = await rooms.view(request, "limits")
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


def _identity(rule: Rule, who: str) -> str:
    if rule.who == "global":
        return "global"
    return f"ip:{who}" if rule.who == "ip" else caller_of(rule.who, who)
