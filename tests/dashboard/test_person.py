"""One person over all rooms: what explains what they call about, on one page, as far as the operator sees the rooms."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hustlex.app import HustleX
from hustlex.dashboard import Dashboard, Operator
from hustlex.errors import Misuse
from hustlex.idempotency import ClaimPage, ClaimState, Response, Scope
from hustlex.otp import Issued
from hustlex.people.person import PersonState
from hustlex.people.timeline import answers, timeline
from hustlex.ratelimit import Penalty, parse_rule
from hustlex.testing import patient
from tests.conftest import SECRET
from tests.dashboard.conftest import Person, text

PHONE = "+2348031234567"
PAY = Scope("u7", "POST", "/pay")
RULES = ("2/minute per user on POST /pay", "100/hour per ip")
NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
async def hx(url: str) -> AsyncIterator[HustleX]:
    async with HustleX(url, secret=SECRET, **patient()) as front:
        yield front


def operator(hx: HustleX, level: Any = "act", rules: Any = RULES, resend: Any = None, **more: Any) -> Person:
    async def who(_: Any) -> Operator:
        return Operator(level, "ada", **more)

    return Person(Dashboard(hx, access=who, rules=rules, channels=["users:{user}"], resend=resend))


async def lived(hx: HustleX) -> None:
    """Two sessions, one of them ended; a payment by two keys; a limit used up; a code."""
    for device in ("Tecno <b>Spark</b>", "iPhone"):
        pair: Any = await hx.tokens.login("u7", device=device)
    await hx.tokens.revoke_session("u7", pair.session_id)
    for key in ("k1", "k2"):
        started: Any = await hx.idempotency.begin(key, PAY)
        await hx.idempotency.complete(started, Response(201, b"a secret answer"))
    for _ in range(2):
        await hx.ratelimit.check(parse_rule(RULES[0]).policy, "u7", endpoint="POST /pay")
    (await hx.otp.issue(PHONE)).or_raise()


async def test_one_page_answers_what_a_person_calls_about(hx: HustleX) -> None:
    await lived(hx)
    ada = operator(hx)
    await ada.open("/people")
    answer = await ada.post("/people", user="u7", phone=PHONE)
    shown = text(ada.shown)
    for words in (
        "Logged out by the application or an operator.",
        "POST /pay succeeded twice within",
        "POST /pay is denied for",
        "the next code may be sent in",
        "A code was sent to strangers and new devices.",
        "A request was answered with 201: POST /pay",
        "users:u7 0",
    ):
        assert words in shown, (words, shown)
    assert "Tecno &lt;b&gt;Spark" in ada.shown and "secret answer" not in ada.shown
    cost = re.search(r"· (\d+) commands,", answer.text)
    assert cost is not None and int(cost[1]) <= 50
    assert PHONE not in str(answer.url) and PHONE not in re.sub(r'value="[^"]*"', "", ada.shown)


async def test_a_caller_is_banned_and_gets_a_limit_of_its_own_and_both_are_taken_back(hx: HustleX) -> None:
    rule = parse_rule("9/minute per ip on POST /in overridable", penalty=Penalty())
    plain, who = parse_rule("9/minute per ip on POST /out"), "ip:203.0.113.7"
    ada = operator(hx, rules=(rule, plain))
    given = {"caller": "203.0.113.7", "limit": "POST /in per ip", "back": "/limits"}
    await ada.open("/people")
    assert "by hand" not in (await ada.post("/limits", limit=given["limit"], who=given["caller"])).text
    await ada.post("/confirm", verb="ban", length="2h", **given)
    assert "Ban?" in ada.shown and "every call of this caller" in ada.shown and "2h" in ada.shown
    await ada.press("ban", length="2h", **given)
    assert (await hx.ratelimit.peek(rule.policy, who, endpoint="POST /in")).outcome == "banned"
    assert "Every call of this caller is refused" in ada.shown and "Banned now" in ada.shown
    await ada.press("own_limit", most="4", length="1d", **given)
    await ada.post("/limits", limit=given["limit"], who=given["caller"])
    assert "by hand" in ada.shown and "a limit of their own, 4" in ada.shown and "Lift the ban" in ada.shown
    await ada.press("unban", **given)
    await ada.press("common_limit", **given)
    (mark,) = await hx.ratelimit.inspector.caller(rule.policy, who, endpoint="POST /in")
    assert (mark.banned_for, mark.own_limit) == (timedelta(0), None)
    wrong = {"ban": {"length": "3d"}, "own_limit": {"most": "-4", "length": "1d"}, "common_limit": {}}
    for verb, more in wrong.items():
        bad = given | {"limit": "POST /out per ip"} if verb == "common_limit" else given
        assert (await ada.press(verb, **bad, **more)).status_code == 400, verb
    assert (await ada.press("unban", **given)).status_code == 409
    assert (await ada.press("reset_limit", limit=given["limit"], back="/limits")).status_code == 400
    await ada.open("/audit")
    assert re.search("banned for (2 h|1 h 59 m)", ada.shown) and "a limit of its own, 4" in ada.shown
    assert f"caller={hx.reference('203.0.113.7')}" in ada.shown and "203.0.113.7" not in ada.shown


async def test_a_code_is_sent_again_by_the_application_and_shown_to_nobody(hx: HustleX, url: str) -> None:
    asked, codes = list[Any](), list[str]()

    async def send_again(to: Any) -> Any:
        asked.append(to)
        if to == "+2348031234569":
            raise KeyError(to)
        answer = await hx.otp.issue(to)
        if isinstance(answer, Issued):
            codes.append((await hx.otp.open(answer.challenge)).or_raise().code)
        return answer

    ada, given = operator(hx, resend=send_again), {"phone": PHONE, "back": "/people"}
    await ada.open("/people")
    await ada.post("/people", phone=PHONE)
    assert "Send a code again" in ada.shown
    await ada.post("/confirm", verb="resend", **given)
    assert "as if its owner had asked" in ada.shown
    await ada.press("resend", **given)
    assert "The application was asked to send it." in ada.shown and len(codes) == 1
    answer = await ada.press("resend", **given)
    assert answer.status_code == 409 and "nothing was sent: the answer was Cooldown" in text(ada.shown)
    answer = await ada.press("resend", phone="+2348031234569", back="/people")
    assert answer.status_code == 503 and "the application failed" in ada.shown and "+23480" not in text(ada.shown)
    assert asked == [PHONE, PHONE, "+2348031234569"]
    await ada.open("/audit")
    assert f"phone={hx.reference(PHONE)}" in ada.shown and PHONE not in ada.shown and codes[0] not in ada.shown
    assert "0 sent in 24 h" in ada.shown and "1 sent in 24 h" in ada.shown
    reader = operator(hx, "read", resend=send_again)
    await reader.open("/people")
    assert (await reader.press("resend", **given)).status_code == 403 and len(asked) == 3


async def test_without_the_applications_function_the_page_says_what_to_do_instead(hx: HustleX) -> None:
    ada = operator(hx)
    await ada.open("/people")
    await ada.post("/people", phone=PHONE)
    assert "was not told how to send a code again" in ada.shown and "Send a code again" not in ada.shown
    assert (await ada.press("resend", phone=PHONE, back="/people")).status_code == 400


async def test_a_limit_is_reset_and_the_timeline_says_by_whom(hx: HustleX) -> None:
    await lived(hx)
    ada = operator(hx)
    await ada.open("/people")
    await ada.post("/confirm", verb="reset_limit", user="u7", limit="POST /pay", back="/people")
    assert "Reset limit?" in ada.shown
    await ada.press("reset_limit", user="u7", limit="POST /pay", back="/people")
    assert "What was used is forgotten" in ada.shown
    rule = parse_rule(RULES[0])
    assert (await hx.ratelimit.peek(rule.policy, "u7", endpoint="POST /pay")).allowed
    await ada.post("/people", user="u7")
    assert "reset_limit: done, by ada" in text(ada.shown) and "is denied" not in ada.shown
    told = text((await ada.open("/audit")).text)
    assert "denied, 0 of 2 left" in told and " 2 of 2 left" in told
    assert (await ada.press("reset_limit", user="u7", limit="POST /nothing", back="/people")).status_code == 404


async def test_rooms_that_are_not_theirs_are_not_on_the_page(hx: HustleX) -> None:
    await lived(hx)
    ada = operator(hx, rooms=("people",))
    await ada.open("/people")
    await ada.post("/people", user="u7", phone=PHONE, place="payload.user_id")
    await ada.post("/people", user="u7", phone=PHONE)
    shown = text(ada.shown)
    assert "Living sessions" in shown and "Lanes" in shown
    for words in ("/pay", "Idempotency keys", "users:u7", "Where their tasks"):
        assert words not in ada.shown, words


async def test_tasks_that_name_a_person_are_found_in_the_operators_queues(hx: HustleX) -> None:
    for queue in ("gigs", "wallets"):
        for user in ("u7", "u8"):
            await hx.jobs.enqueue(f"{queue}:notify", {"user_id": user}, task_id=f"{user}-{queue}", queue=queue)
    ada = operator(hx, queues=("gig*",))
    await ada.open("/people")
    assert "Look for tasks" not in ada.shown
    await ada.post("/people", user="u7")
    assert "Look for tasks" in ada.shown
    answer = await ada.post("/people", user="u7", place="payload.user_id")
    assert "u7-gigs" in ada.shown and "u8-gigs" not in ada.shown and "wallets" not in ada.shown
    cost = re.search(r"· (\d+) commands,", answer.text)
    assert cost is not None and int(cost[1]) <= 50
    for odd in ("state", "payload", "payload.x queue:wallets", "error.x", "payload."):
        assert (await ada.post("/people", user="u7", place=odd)).status_code == 400, odd
    assert (await ada.post("/people", user='u"7\\', place="payload.user_id")).status_code == 200
    assert (await ada.post("/people", user="u7", claims="x")).status_code == 400


def claim(state: Any, *, age: timedelta, status: int = 0, fence: int = 1, route: str = "POST%20/pay") -> ClaimState:
    record = f"idem:{{u7}}:{route}:{age.seconds:032x}"
    return ClaimState(record, state, "none", fence, timedelta(0), status, age, timedelta(days=1))


def kept(*claims: ClaimState) -> PersonState:
    return PersonState(user="u7", claims=ClaimPage(claims, "", 500))


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        (
            (claim("done", age=MINUTE, status=201), claim("done", age=9 * MINUTE, status=200)),
            "POST /pay succeeded twice within 8 m",
        ),
        ((claim("done", age=MINUTE, status=201), claim("done", age=90 * MINUTE, status=201)), ""),
        ((claim("done", age=MINUTE, status=201), claim("done", age=2 * MINUTE, status=402)), ""),
        (
            (claim("done", age=MINUTE, status=201), claim("done", age=MINUTE * 2, status=201, route="POST%20/refund")),
            "",
        ),
        ((claim("lapsed", age=MINUTE),), "POST /pay began and never ended"),
        ((claim("done", age=MINUTE, status=201, fence=2),), "POST /pay was begun 2 times"),
    ],
    ids=["twice", "long after", "refused", "another route", "in doubt", "taken over"],
)
def test_who_was_charged_twice_is_told_by_what_keys_say(claims: tuple[ClaimState, ...], words: str) -> None:
    [answer] = answers(kept(*claims))
    assert answer.question == "I was charged twice"
    assert words in " ".join(answer.sentences) if words else not answer.sentences
    newest_first = sorted((NOW - each.age for each in claims), reverse=True)
    assert [entry.at for entry in timeline(kept(*claims), NOW)] == newest_first


async def test_rules_and_channels_are_judged_when_the_console_is_made(hx: HustleX) -> None:
    bad_rules = ("2/minute per user", [7], ["nonsense"])
    bad_channels = ("users:{user}", [1], ["users:all"], ["nonsense"])
    for wrong in (*({"rules": each} for each in bad_rules), *({"channels": each} for each in bad_channels)):
        with pytest.raises(Misuse):
            Dashboard(hx, **wrong)  # type: ignore[arg-type]
