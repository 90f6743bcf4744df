"""A console behind a proxy that signs people in: its headers count from its address, with its secret, and only so."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import httpx
import pytest
from starlette.requests import Request

from hustlex.core import check
from hustlex.dashboard import BehindProxy, Dashboard, Operator, proxy
from hustlex.dashboard.audit import Audit
from hustlex.dashboard.live import LIFE_S, RECHECK_S
from hustlex.errors import Misuse
from tests.dashboard.conftest import Person
from tests.support.browser import Chromium
from tests.support.sweep import Sample, complaints, unswept
from tools.serving import serving

SECRET = "wq9-Vf3.k20_Lr7x!Ht5"
FITS: dict[str, Any] = {
    "proxies": ["10.0.0.7", "10.1.0.0/16", "2001:db8::/64"],
    "secret": SECRET,
    "acts": ["ada@example.com", "bob"],
    "reads": ["@example.com"],
}
PEER = ("10.0.0.7", 4711)
SERVER = ("10.0.0.1", 8100)
Fields = Sequence[tuple[str, str | bytes]]


def told(user: str | bytes, secret: str = SECRET) -> Fields:
    return [("X-Forwarded-Email", user), ("X-Proxy-Secret", secret)]


async def asked(access: BehindProxy, fields: Fields, peer: Any = PEER, server: Any = SERVER) -> tuple[str, str]:
    raw = [(name.lower().encode(), value if isinstance(value, bytes) else value.encode()) for name, value in fields]
    scope = {"type": "http", "method": "GET", "path": "/", "headers": raw, "client": peer, "server": server}
    operator = await access(Request(scope))
    return operator.level, operator.name


NOBODY = ("none", "nobody")


@pytest.mark.parametrize(
    ("user", "level", "name"),
    [
        ("ada@example.com", "act", "ada@example.com"),
        ("ada@EXAMPLE.Com", "act", "ada@example.com"),
        ("bob", "act", "bob"),
        ("tunde@example.com", "read", "tunde@example.com"),
        ("tunde+ops@example.com", "read", "tunde+ops@example.com"),
        ("Ada@example.com", "read", "Ada@example.com"),
        ("\u0430da@example.com", "read", "\u0430da@example.com"),
        ("a" * 188 + "@example.com", "read", "a" * 188 + "@example.com"),
    ],
)
async def test_who_the_proxy_names_comes_in_as_the_rules_say(user: str, level: str, name: str) -> None:
    assert await asked(BehindProxy(**FITS), told(user)) == (level, name)


@pytest.mark.parametrize(
    "user",
    [
        "",
        " ",
        "\t",
        " ada@example.com",
        "ada@example.com ",
        "ada @example.com",
        "ada\u00a0@example.com",
        "ada\x00@example.com",
        "ada@example.com\x7f",
        "ada\u200b@example.com",
        "\u202eada@example.com",
        b"ad\xe4@example.com",
        b"\xff\xfe",
        "a" * 189 + "@example.com",
        "a" * 100_000,
        "ada@example.com,eve@example.com",
        "ada@example.com, ada@example.com",
        "ada@example.com;eve@example.com",
        "a@evil.example@example.com",
        "ada@example.com@evil.example",
        '"a@evil.example"@example.com',
        "@example.com",
        "@",
        "ada@",
        "example.com",
        "ada@evil.example",
        "ada@ops.example.com",
        "ada@notexample.com",
        "ada@example.com.",
        "ada@example.com.evil.example",
        "ada@exam\u0440le.com",
        "bob@",
        "Bob",
        "b\u043eb",
    ],
)
async def test_any_other_name_is_nobody(user: str | bytes) -> None:
    assert await asked(BehindProxy(**FITS), told(user)) == NOBODY


async def test_a_letter_of_another_alphabet_does_not_become_one_of_ours() -> None:
    """The sign of the kelvin has a small letter, which is our k."""
    access = BehindProxy(**{**FITS, "reads": ["@bank.example"]})
    assert await asked(access, told("ada@BANK.example")) == ("read", "ada@bank.example")
    assert await asked(access, told("ada@ban\u212a.example")) == NOBODY


@pytest.mark.parametrize(
    "fields",
    [
        [],
        [("X-Forwarded-Email", "ada@example.com")],
        [("X-Proxy-Secret", SECRET)],
        told("ada@example.com", ""),
        told("ada@example.com", SECRET[:-1]),
        told("ada@example.com", SECRET + "x"),
        told("ada@example.com", SECRET.lower()),
        told("ada@example.com", f"{SECRET},{SECRET}"),
        [*told("ada@example.com"), ("X-Proxy-Secret", SECRET)],
        [*told("ada@example.com"), ("X-Proxy-Secret", "")],
        [*told("ada@example.com"), ("X-Forwarded-Email", "ada@example.com")],
        [*told("ada@example.com"), ("X-Forwarded-Email", "")],
        [("X-Forwarded-User", "ada@example.com"), ("X-Proxy-Secret", SECRET)],
        [("X_Forwarded_Email", "ada@example.com"), ("X-Proxy-Secret", SECRET)],
    ],
)
async def test_one_thing_amiss_in_the_headers_is_nobody(fields: Fields) -> None:
    assert await asked(BehindProxy(**FITS), fields) == NOBODY


@pytest.mark.parametrize(
    ("peer", "known"),
    [
        (PEER, True),
        (("::ffff:10.0.0.7", 1), True),
        (("10.1.255.255", 1), True),
        (("::ffff:10.1.2.3", 1), True),
        (("2001:db8::1", 1), True),
        (("10.0.0.8", 1), False),
        (("10.2.0.0", 1), False),
        (("127.0.0.1", 1), False),
        (("2001:db9::1", 1), False),
        (("testclient", 1), False),
        (("", 1), False),
        (("10.0.0.7", 0), False),  # what uvicorn makes of X-Forwarded-For
        (None, False),
    ],
)
async def test_the_peer_is_the_sockets(peer: Any, *, known: bool) -> None:
    lies = [(name, "10.0.0.7") for name in ("X-Forwarded-For", "X-Real-IP", "Forwarded")]
    found = await asked(BehindProxy(**FITS), [*told("ada@example.com"), *lies], peer)
    assert (found != NOBODY) == known


async def test_a_network_may_be_written_as_mapped() -> None:
    for proxies in (["::ffff:10.0.0.7"], ["::ffff:10.0.0.0/120"]):
        access = BehindProxy(**{**FITS, "proxies": proxies})
        for peer in (PEER, ("::ffff:10.0.0.7", 1)):
            assert await asked(access, told("bob"), peer) == ("act", "bob")
        assert await asked(access, told("bob"), ("10.0.1.7", 1)) == NOBODY


async def test_a_unix_socket_is_a_proxy_where_it_is_named() -> None:
    access = BehindProxy(**{**FITS, "proxies": ["unix"]})
    for server in (("/run/console.sock", None), None):
        assert await asked(access, told("bob"), None, server) == ("act", "bob")
        assert await asked(BehindProxy(**FITS), told("bob"), None, server) == NOBODY
    assert await asked(access, told("bob"), PEER, ("/run/console.sock", None)) == NOBODY
    assert await asked(access, told("bob"), None, SERVER) == NOBODY  # a TCP peer that is gone has no address, either


async def test_the_headers_may_have_other_names() -> None:
    access = BehindProxy(**FITS, user_header="Remote-User", secret_header="X-Key")
    assert await asked(access, [("remote-user", "bob"), ("x-key", SECRET)]) == ("act", "bob")
    assert await asked(access, told("bob")) == NOBODY


async def test_what_is_ignored_is_logged_once_a_minute(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(proxy, "monotonic", lambda: now[0])
    access = BehindProxy(**FITS)
    caplog.set_level(logging.DEBUG)
    strange = partial(asked, access, told("ada@example.com"), ("192.0.2.1", 1))
    for _ in range(3):
        await strange()
        await asked(access, [], ("192.0.2.1", 1))
    now[0] += 59
    await strange()
    assert len(caplog.messages) == 1 and "192.0.2.1 is no proxy" in caplog.text
    now[0] += 1
    await strange()
    assert len(caplog.messages) == 2
    for _ in range(2):
        await asked(access, told("ada@example.com", "x" * 20))
        await asked(access, told("ada@example.com"), ("10.0.0.7", 0))
    assert len(caplog.messages) == 4 and "wrong secret" in caplog.text and "--no-proxy-headers" in caplog.text
    assert "ada" not in caplog.text and SECRET not in caplog.text and "xxx" not in caplog.text


def test_the_secret_is_shown_nowhere() -> None:
    access = BehindProxy(**FITS)
    assert SECRET not in repr(access) and SECRET not in repr(vars(access))
    assert "10.1.0.0/16" in repr(access) and "@example.com" in repr(access)


@pytest.mark.parametrize(
    "bad",
    [
        {"proxies": []},
        {"proxies": "10.0.0.7"},
        {"proxies": ["*"]},
        {"proxies": ["proxy.example"]},
        {"proxies": ["10.0.0.7/16"]},
        {"proxies": ["10.0.0.300"]},
        {"proxies": ["0.0.0.0/0"]},
        {"proxies": ["::/0"]},
        {"proxies": ["::ffff:0.0.0.0/96"]},
        {"proxies": [7]},
        {"secret": ""},
        {"secret": SECRET[:15]},
        {"secret": "change-me-change-me"},
        {"secret": "0" * 32},
        {"secret": f"{SECRET} {SECRET}"},
        {"secret": f"{SECRET}\n"},
        {"secret": f"{SECRET}\u00e9"},
        {"secret": None},
        {"acts": [], "reads": []},
        {"acts": "ada@example.com"},
        *({"reads": [rule]} for rule in ("*", "*@example.com", "@*.example.com", ".*@example.com", "^ada", "ada|bob")),
        *({"reads": [rule]} for rule in ("@", "@.example.com", "@example.com.", "a@b@example.com", "ada@", "ada eve")),
        *({"reads": [rule]} for rule in ("a,b", "", " ", "a" * 201, None, b"ada", "ada\u200b")),
        {"user_header": "X Forwarded"},
        {"user_header": ""},
        {"user_header": "X-User:"},
        {"user_header": "X_User"},
        {"user_header": "x-proxy-secret"},
        {"secret_header": "X-Secret\r\n"},
    ],
)
def test_nonsense_is_refused_at_once(bad: dict[str, Any]) -> None:
    with pytest.raises(Misuse) as refused:
        BehindProxy(**{**FITS, **bad})
    assert refused.value.hint and SECRET not in str(refused.value)


async def test_bad_input_gets_one_sentence() -> None:
    given = {**FITS, "user_header": "X-User", "secret_header": "X-Key"}
    sample = Sample(BehindProxy, given)
    assert await complaints(sample) == [] and unswept([BehindProxy], [sample]) == set()


class Proxied(Person):
    """Somebody who comes through a proxy, or around it."""

    def __init__(self, console: Dashboard, fields: Iterable[tuple[str, str]], peer: tuple[str, int] = PEER) -> None:
        super().__init__(console)
        self.client._transport = httpx.ASGITransport(console, raise_app_exceptions=False, client=peer)
        self.client.headers.update(dict(fields))


@pytest.fixture
def come(hx: Any) -> Callable[..., Proxied]:
    return lambda *given: Proxied(Dashboard(hx, access=BehindProxy(**FITS)), *given)


async def test_the_closed_page_does_not_say_what_was_missing(come: Callable[..., Proxied]) -> None:
    strangers = [
        come(told("ada@example.com"), ("192.0.2.1", 1)),
        come(told("ada@example.com", "x" * 20)),
        come(told("eve@evil.example")),
        come([]),
    ]
    for path in ("/", "/queues", "/confirm?verb=pause&queue=default"):
        answers = [await each.client.get(path) for each in strangers]
        assert {(each.status_code, each.text) for each in answers} == {(403, "You may not look at this console.")}
    for stranger in strangers:
        assert (await stranger.client.get("/live?path=/")).status_code == 403
        assert (await stranger.press("pause", queue="default")).status_code == 403


async def test_there_is_no_other_door(come: Callable[..., Proxied]) -> None:
    ada = come(told("ada@example.com"))
    assert (await ada.open("/enter")).status_code == 404
    assert (await ada.post("/enter", token="AAAA")).status_code == 404


async def test_an_act_is_written_down_under_the_proxys_name_and_needs_our_own_form(
    hx: Any, come: Callable[..., Proxied]
) -> None:
    await hx.jobs.enqueue("gig:notify")
    ada, tunde = come(told("ada@EXAMPLE.com")), come(told("tunde@example.com"))
    await ada.open("/queues/default")
    assert "ada@example.com (act)" in ada.shown
    ada.client.headers["Sec-Fetch-Site"] = "cross-site"
    assert (await ada.press("pause", queue="default")).status_code == 403
    ada.client.headers["Sec-Fetch-Site"] = "same-origin"
    assert (await ada.press("pause", queue="default", form_token="")).status_code == 403
    await tunde.open("/queues/default")
    assert (await tunde.press("resume", queue="default")).status_code == 403
    assert not (await hx.jobs.inspector.queue("default")).paused
    await ada.open("/queues/default")
    assert (await ada.press("pause", queue="default")).status_code == 200
    assert (await hx.jobs.inspector.queue("default")).paused
    newest = (await Audit(hx.driver, hx.prefix).newest())[0].fields
    assert (newest["name"], newest["verb"], newest["phase"]) == ("ada@example.com", "pause", "done")


async def test_an_open_page_asks_the_proxy_again_within_the_minute(hx: Any) -> None:
    """A request that is judged again has the headers that it had: only another one has what the proxy says now."""
    assert Dashboard(hx)._stream_life_s == LIFE_S
    console = Dashboard(hx, access=BehindProxy(**FITS))
    assert console._stream_life_s == RECHECK_S
    console._stream_life_s = 0.0
    ada = Proxied(console, told("ada@example.com"))
    assert (await ada.client.get("/live?path=/")).text.endswith("event: again\ndata: \n\n")
    ada.client.headers["X-Forwarded-Email"] = ""
    assert (await ada.client.get("/live?path=/")).status_code == 403


async def test_a_page_in_a_browser_stays_live_until_the_proxy_says_no(hx: Any, browser: Chromium) -> None:
    asked, enough, level = 0, asyncio.Event(), "read"

    async def who(request: Request) -> Operator:
        nonlocal asked
        asked += request.url.path == "/live"
        if asked == 3:
            enough.set()
        return Operator(level, "ada")  # type: ignore[arg-type]

    console = Dashboard(hx, access=who)
    console._stream_life_s = 0.1
    async with serving(console) as address:
        tab = await browser.open(address)
        await tab.call("Emulation.setFocusEmulationEnabled", enabled=True)
        await tab.until("document.getElementById('state')?.textContent === 'live'")
        await tab.run(
            "window.said = []; new MutationObserver(() => said.push(document.getElementById('state').textContent))"
            ".observe(document.getElementById('state'), { childList: true })"
        )
        await enough.wait()
        assert await tab.run("said.includes('not live')") is False
        level = "none"
        await tab.until("document.getElementById('state').textContent === 'not live'")


async def test_what_callers_add_to_an_operator_stays_possible() -> None:
    """As queues: the class answers what any function may answer."""
    assert isinstance(await BehindProxy(**FITS)(Request({"type": "http", "headers": []})), Operator)
    assert check.function("access", BehindProxy(**FITS))
