"""Nobody gets in without being let in, and nobody does more than may be done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
import redis

from hustlex.dashboard import Dashboard, Operator
from hustlex.dashboard.audit import Audit
from hustlex.dashboard.names import to_url
from hustlex.errors import ConfigurationError, Misuse
from hustlex.jobs import Job
from hustlex.people.notes import audit_key
from tests.dashboard.conftest import PLACE, Person

PAGES = ("/", "/queues", "/queues/critical", "/tasks", "/tasks?q=type:a", "/bulk", "/bulk/nothing", "/workers", "/cron",
         "/workflows", "/redis", "/audit")  # fmt: skip


async def test_a_console_without_access_is_closed_to_whom_has_not_signed_in(hx: Any) -> None:
    stranger = Person(Dashboard(hx))
    for page in PAGES:
        answer = await stranger.open(page)
        assert (answer.status_code, answer.headers["location"]) == (303, "/enter"), page
    assert (await stranger.client.get("/live?path=/")).status_code == 403


async def test_a_token_signs_in_once(hx: Any) -> None:
    console = Dashboard(hx)
    token = await console.sign_in_token(Operator("act", "ada"))
    ada, thief = Person(console), Person(console)
    assert (await ada.post("/enter", token=f"http://127.0.0.1:8100/enter#{token.lower()}")).status_code == 200
    assert "ada (act)" in ada.shown
    assert (await thief.post("/enter", token=token)).status_code == 403
    assert "entered with already" in thief.shown
    cookie = next(iter(ada.client.cookies.jar))
    assert cookie.has_nonstandard_attr("HttpOnly") and cookie.path == "/"


async def test_wrong_tokens_are_limited(hx: Any) -> None:
    stranger = Person(Dashboard(hx))
    for _ in range(5):
        await stranger.post("/enter", token="AAAA")
        assert "mistyped" in stranger.shown
    await stranger.post("/enter", token="AAAA")
    assert "Too many attempts" in stranger.shown


async def test_a_session_is_known_to_every_console_of_the_server_and_ends_with_leave(hx: Any) -> None:
    one, other = Dashboard(hx), Dashboard(hx)
    ada = Person(one)
    await ada.post("/enter", token=await one.sign_in_token(Operator("read", "ada")))
    elsewhere = Person(other)
    elsewhere.client.cookies = ada.client.cookies
    assert (await elsewhere.open("/")).status_code == 200
    await ada.post("/leave")
    assert (await ada.open("/")).status_code == 303


async def test_sessions_of_a_name_are_ended_and_their_tokens_spent(hx: Any) -> None:
    one, other = Dashboard(hx), Dashboard(hx)
    ada, tunde = Person(one), Person(one)
    await ada.post("/enter", token=await one.sign_in_token(Operator("act", "ada")))
    await tunde.post("/enter", token=await one.sign_in_token(Operator("act", "tunde")))
    unspent = await one.sign_in_token(Operator("act", "ada"))
    await other.end_sessions("ada")
    assert (await ada.open("/")).status_code == 303
    assert (await tunde.open("/")).status_code == 200
    assert (await ada.post("/enter", token=unspent)).status_code == 403
    await ada.post("/enter", token=await other.sign_in_token(Operator("act", "ada")))
    assert (await ada.open("/")).status_code == 200
    with pytest.raises(Misuse):
        await other.end_sessions("")


async def test_signing_in_and_out_is_written_down(hx: Any) -> None:
    console = Dashboard(hx)
    ada, tunde = Person(console), Person(console)
    await ada.post("/enter", token=await console.sign_in_token(Operator("read", "ada")))
    await ada.post("/leave")
    await tunde.post("/enter", token=await console.sign_in_token(Operator("act", "tunde")))
    entries = [
        tuple(map(each.fields.get, ("name", "phase", "verb"))) for each in await Audit(hx.driver, hx.prefix).newest()
    ]
    assert entries == [("tunde", "signed in", "sign in"), ("ada", "done", "sign out"), ("ada", "signed in", "sign in")]
    await tunde.open("/audit")
    assert "sign in" in tunde.shown and "sign out" in tunde.shown


async def test_who_leaves_is_signed_out_whatever_the_audit_takes(hx: Any, raw: redis.Redis) -> None:
    console, fresh, kept = Dashboard(hx), Dashboard(hx), f"{audit_key(hx.prefix)}:kept"
    for leaving, written in ((fresh, True), (console, False)):
        ada = Person(console)
        await ada.post("/enter", token=await console.sign_in_token(Operator("read", "ada")))
        elsewhere = Person(leaving)
        elsewhere.client.cookies = ada.client.cookies
        if not written:
            raw.rename(audit_key(hx.prefix), kept)
            raw.set(audit_key(hx.prefix), "no stream")
        await elsewhere.post("/leave")
        assert (await elsewhere.open("/")).status_code == 303
        newest = raw.xrevrange(audit_key(hx.prefix) if written else kept, count=1)
        assert (newest[0][1][b"verb"] == b"sign out") == written


async def test_a_cookie_is_taken_back_as_it_was_given(hx: Any) -> None:
    """A browser heeds nothing else of one whose name begins with __Host-."""
    console = Dashboard(hx)
    for scheme in ("http", "https"):
        ada = Person(console)
        ada.client.base_url = httpx.URL(f"{scheme}://localhost:8100")
        given = await ada.client.post("/enter", data={"token": await console.sign_in_token(Operator("read", "ada"))})
        taken = await ada.client.post("/leave")
        attributes = [
            {
                part
                for part in answer.headers["set-cookie"].split("; ")[1:]
                if part.split("=")[0] not in ("expires", "Max-Age")
            }
            for answer in (given, taken)
        ]
        assert attributes[0] == attributes[1] and ("Secure" in attributes[1]) == (scheme == "https")


async def test_a_cookie_that_was_changed_is_nobodys(hx: Any) -> None:
    console = Dashboard(hx)
    ada = Person(console)
    await ada.post("/enter", token=await console.sign_in_token(Operator("read", "ada")))
    [(name, value)] = ada.client.cookies.items()
    for forged in (value[:-2] + "AA", value.split(".")[0], "x" + value, "", "a.b.c", "=.="):
        other = Person(console)
        other.client.headers["Cookie"] = f"{name}={forged}"
        assert (await other.open("/")).status_code == 303, forged


async def test_who_may_read_may_not_act(hx: Any, person: Callable[..., Person]) -> None:
    await hx.jobs.enqueue("gig:notify")
    reader = person("read")
    await reader.open("/queues/default")
    assert "disabled" in reader.shown
    await reader.open("/enter")
    other = person("act")
    await other.open("/queues/default")
    reader.token = other.token  # of the same name
    assert (await reader.press("pause", queue="default", back="/queues")).status_code == 403
    assert not (await hx.jobs.inspector.summaries(["default"]))[0].paused


async def test_queues_outside_a_pattern_do_not_exist(hx: Any, person: Callable[..., Person]) -> None:
    for queue in ("gigs", "wallets"):
        await hx.jobs.enqueue("a:b", task_id="known", queue=queue)
    narrow = person("act", queues=("gig*",))
    for page in ("/", "/queues", "/tasks", "/workers"):
        await narrow.open(page)
        assert "wallets" not in narrow.shown, page
    for page in ("/queues/wallets", "/tasks/wallets/known"):
        assert (await narrow.open(page)).status_code == 404, page
    await narrow.open("/queues/gigs")
    assert (await narrow.press("pause", queue="wallets", back="/")).status_code == 404
    assert (await narrow.press("delete", queue="wallets", task="known", back="/")).status_code == 404
    assert not (await hx.jobs.inspector.summaries(["wallets"]))[0].paused
    assert (await narrow.client.get("/live", params={"path": "/queues/wallets"})).status_code == 404


async def test_what_belongs_to_other_queues_is_nowhere(hx: Any, person: Callable[..., Person]) -> None:
    """Not in cron, nor in what the doctor finds, nor in the audit, nor as a neighbour of a step."""
    for queue in ("gigs", "wallets"):
        await hx.jobs.schedules.add(f"of {queue}", "@every 1h", Job("a:b", b"", {"queue": queue}))
        await hx.jobs.enqueue("a:b", task_id="known", queue=queue)
    await hx.jobs.start(Job("x:y", b"", {"queue": "gigs"}).then(Job("x:y", b"", {"queue": "wallets"})))
    whole, narrow = person("act"), person("act", queues=("gig*",))
    await whole.open("/queues/wallets")
    await whole.press("pause", queue="wallets", back="/")
    [hidden] = [each for each in await hx.jobs.schedules.all() if each.name == "of wallets"]
    for page in ("/", "/cron", "/redis", "/audit", "/workflows", "/tasks/gigs/known", "/workers"):
        assert ("wallets" in (await whole.open(page)).text) is (
            page in ("/", "/cron", "/redis", "/audit", "/workflows")
        )
        assert "wallets" not in (await narrow.open(page)).text, page
    assert (await narrow.open(f"/cron/{to_url(hidden.id)}")).status_code == 404
    await narrow.open("/queues/gigs")
    for verb in ("fire", "pause_entry", "resume_entry"):
        assert (await narrow.press(verb, entry="of wallets", back="/cron")).status_code == 404, verb
        assert (await narrow.press(verb, entry="of gigs", back="/cron")).status_code == 200, verb
    assert not (await hx.jobs.schedules.get("of wallets")).paused
    assert (await hx.jobs.inspector.summaries(["wallets"]))[0].pending == 1


async def test_rooms_outside_a_pattern_do_not_exist(person: Callable[..., Person]) -> None:
    narrow = person("read", rooms=("redis",))
    assert (await narrow.open("/queues")).status_code == 404
    assert (await narrow.open("/redis")).status_code == 200
    assert ">Queues<" not in narrow.shown


async def test_a_form_from_elsewhere_does_nothing(hx: Any, person: Callable[..., Person]) -> None:
    await hx.jobs.enqueue("gig:notify")
    ada = person("act")
    await ada.open("/queues/default")
    for headers in (
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "", "Origin": PLACE},
    ):
        ada.client.headers.update(headers)
        assert (await ada.press("pause", queue="default", back="/")).status_code == 403, headers
    del ada.client.headers["Sec-Fetch-Site"]
    for origin in ("http://evil.test", "null", PLACE + ".evil.test", ""):
        ada.client.headers["Origin"] = origin
        assert (await ada.press("pause", queue="default", back="/")).status_code == 403, origin
    assert not (await hx.jobs.inspector.summaries(["default"]))[0].paused
    ada.client.headers["Origin"] = PLACE
    await ada.open("/queues/default")
    assert (await ada.press("pause", queue="default", back="/queues/default")).status_code == 200
    assert (await hx.jobs.inspector.summaries(["default"]))[0].paused


async def test_a_form_without_its_token_does_nothing(hx: Any, person: Callable[..., Person]) -> None:
    await hx.jobs.enqueue("gig:notify")
    ada = person("act")
    for token in ("", "AAAA", "é"):
        answer = await ada.client.post(
            "/act", data={"verb": "pause", "queue": "default", "back": "/", "form_token": token}
        )
        assert answer.status_code == 403
    assert (await ada.client.get("/act?verb=pause&queue=default")).status_code in (404, 405)


async def test_a_strange_host_is_refused(hx: Any) -> None:
    person = Person(Dashboard(hx, hosts=["localhost:8100"]))
    assert (await person.open("/enter")).status_code == 200
    for host in ("evil.test", "localhost:8101", "localhost:8100.evil.test", ""):
        assert (await person.client.get("/enter", headers={"Host": host})).status_code == 421, host


async def test_every_answer_carries_the_headers(person: Callable[..., Person]) -> None:
    ada = person("act")
    for path in (*PAGES, "/nothing", "/static/nothing", "/confirm?verb=pause", "/enter"):
        answer = await ada.open(path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy, path
        assert answer.headers["x-frame-options"] == "DENY" and answer.headers["cache-control"] == "no-store"
        assert " style=" not in answer.text and " onclick" not in answer.text and "javascript:" not in answer.text


async def test_it_goes_back_only_to_itself(hx: Any, person: Callable[..., Person]) -> None:
    await hx.jobs.enqueue("gig:notify")
    ada = person("act")
    for back in (
        "//evil.test",
        "http://evil.test/",
        "/\\evil.test",
        "javascript:alert(1)",
        "",
        "\t//evil.test",
        "evil",
    ):
        await ada.open("/queues/default")
        answer = await ada.client.post(
            "/act", data={"verb": "pause", "queue": "default", "back": back, "form_token": ada.token}
        )
        assert answer.headers["location"].startswith("/?said="), back


async def test_what_access_answers_is_judged(hx: Any) -> None:
    async def wrong(_: Any) -> Any:
        return True

    assert (await Person(Dashboard(hx, access=wrong)).open("/")).status_code in (400, 503, 303, 403)
    with pytest.raises(Misuse):
        Operator("admin", "ada")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError):
        await Dashboard(hx, access=wrong).sign_in_token(Operator("act", "ada"))
