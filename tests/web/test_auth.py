"""Login over HTTP: every outcome's status, body and headers, and what the app hands in."""

from __future__ import annotations

import asyncio
import logging
import re
from datetime import timedelta
from typing import Any

import httpx
import pytest
import redis
from fastapi import FastAPI

from hustlex.app import HustleX
from hustlex.core.time import FixedClock
from hustlex.errors import ConfigurationError
from hustlex.otp import Delivery
from hustlex.web import CurrentUser, auth_router, lifespan
from tests.conftest import PATIENCE
from tests.support.otp import KEYRING, units

PHONE = "0803 123 4567"
QUOTA = "https://iana.org/assignments/http-problem-types#quota-exceeded"


class Outbox:
    """The sender an app hands in: keeps challenges, or fails."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.broken = False

    async def send(self, challenge: str) -> None:
        if self.broken:
            raise RuntimeError("queue down")
        self.sent.append(challenge)


class Users:
    """The user table an app has."""

    def __init__(self) -> None:
        self.phones: list[str] = []

    async def identify(self, phone: str) -> str:
        self.phones.append(phone)
        return f"user-{phone[-4:]}"


async def me(user: CurrentUser) -> dict[str, Any]:
    return {"id": user.user_id, "session": user.session_id, "amr": user.amr}


@pytest.fixture
def outbox() -> Outbox:
    return Outbox()


@pytest.fixture
def users() -> Users:
    return Users()


@pytest.fixture
async def client(app: FastAPI, serve: Any, outbox: Outbox, users: Users) -> Any:
    app.include_router(auth_router(send=outbox.send, identify=users.identify))
    app.add_api_route("/me", me)
    async with serve(app) as client:
        yield client


@pytest.fixture
def hx(client: httpx.AsyncClient, app: FastAPI) -> HustleX:
    front: HustleX = app.state.hustlex
    return front


async def asked(client: httpx.AsyncClient, phone: str = PHONE) -> str:
    got = await client.post("/auth/otp/request", json={"phone": phone})
    assert got.status_code == 202, got.text
    challenge: str = got.json()["challenge"]
    return challenge


async def code_of(hx: HustleX, challenge: str) -> str:
    delivery = await hx.otp.open(challenge)
    assert isinstance(delivery, Delivery)
    return delivery.code


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 10 ** len(code):0{len(code)}}"


async def verify(client: httpx.AsyncClient, challenge: str, code: str, **more: str) -> httpx.Response:
    return await client.post("/auth/otp/verify", json={"challenge": challenge, "code": code} | more)


async def logged_in(client: httpx.AsyncClient, hx: HustleX) -> dict[str, Any]:
    challenge = await asked(client)
    got = await verify(client, challenge, await code_of(hx, challenge), device="Ada's phone")
    assert got.status_code == 200, got.text
    tokens: dict[str, Any] = got.json()
    return tokens


def everything_in(raw: redis.Redis) -> str:
    """All keys and values, as text."""
    readers = {b"string": raw.get, b"hash": raw.hgetall, b"zset": lambda key: raw.zrange(key, 0, -1, withscores=True)}
    return " ".join(f"{key!r} {readers[raw.type(key)](key)!r}" for key in raw.scan_iter())


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def problem(got: httpx.Response, status: int) -> dict[str, Any]:
    assert (got.status_code, got.headers["content-type"]) == (status, "application/problem+json"), got.text
    body: dict[str, Any] = got.json()
    assert body["status"] == status
    return body


# -- the way through


async def test_a_phone_becomes_a_session(client: httpx.AsyncClient, hx: HustleX, users: Users, outbox: Outbox) -> None:
    got = await client.post("/auth/otp/request", json={"phone": PHONE})
    assert got.status_code == 202
    assert got.headers["cache-control"] == "no-store"
    asked_for = got.json()
    assert asked_for | {"challenge": "", "ref": ""} == {"challenge": "", "ref": "", "expires_in": 300, "resend_in": 60}
    assert outbox.sent == [asked_for["challenge"]]

    code = await code_of(hx, asked_for["challenge"])
    got = await verify(client, asked_for["challenge"], f"{code[:3]} {code[3:]}", device="Ada's phone")
    assert (got.status_code, got.headers["cache-control"]) == (200, "no-store")
    tokens = got.json()
    assert set(tokens) == {"access_token", "refresh_token", "token_type", "expires_in"}
    assert tokens["token_type"] == "Bearer"
    assert 0 < tokens["expires_in"] <= 900
    assert users.phones == ["+2348031234567"]

    who = await client.get("/me", headers=bearer(tokens["access_token"]))
    assert who.json() | {"session": ""} == {"id": "user-4567", "session": "", "amr": ["sms"]}
    assert [session.device for session in await hx.tokens.sessions("user-4567")] == ["Ada's phone"]


async def test_fifty_right_codes_at_once_log_in_once(client: httpx.AsyncClient, hx: HustleX) -> None:
    challenge = await asked(client)
    code = await code_of(hx, challenge)
    answers = await asyncio.gather(*(verify(client, challenge, code) for _ in range(50)))
    assert sorted(answer.status_code for answer in answers) == [200] + [400] * 49
    assert len(await hx.tokens.sessions("user-4567")) == 1


async def test_logout_ends_the_session_at_once(client: httpx.AsyncClient, hx: HustleX) -> None:
    tokens = await logged_in(client, hx)
    headers = bearer(tokens["access_token"])
    got = await client.post("/auth/logout", headers=headers, json={"refresh_token": tokens["refresh_token"]})
    assert (got.status_code, got.content, got.headers["cache-control"]) == (204, b"", "no-store")
    refused = await client.get("/me", headers=headers)
    assert problem(refused, 401)["detail"] == "Log in to go on."
    assert refused.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    again = await client.post("/auth/refresh", json={"refresh_token": tokens["refresh_token"]})
    assert problem(again, 400)["error"] == "invalid_grant"
    assert (await client.post("/auth/logout", headers=headers)).status_code == 204


async def test_logout_takes_either_token_and_refuses_neither(client: httpx.AsyncClient, hx: HustleX) -> None:
    tokens = await logged_in(client, hx)
    got = await client.post("/auth/logout", json={"refresh_token": tokens["refresh_token"]})
    assert got.status_code == 204
    assert (await client.get("/me", headers=bearer(tokens["access_token"]))).status_code == 401
    nobody = await client.post("/auth/logout")
    assert problem(nobody, 401)
    assert nobody.headers["www-authenticate"] == "Bearer"
    forged = await client.post("/auth/logout", headers=bearer("x.y.z"))
    assert problem(forged, 401)
    assert forged.headers["www-authenticate"] == 'Bearer error="invalid_token"'


async def test_refresh_swaps_the_pair_and_answers_a_repeat_alike(client: httpx.AsyncClient, hx: HustleX) -> None:
    old = await logged_in(client, hx)
    first, second = [await client.post("/auth/refresh", json={"refresh_token": old["refresh_token"]}) for _ in range(2)]
    assert (first.status_code, first.headers["cache-control"]) == (200, "no-store")
    assert first.json()["refresh_token"] == second.json()["refresh_token"] != old["refresh_token"]
    assert (await client.get("/me", headers=bearer(first.json()["access_token"]))).status_code == 200


# -- the door of the house


@pytest.mark.parametrize("header", [None, "Basic YTpi", "Bearer", ""])
async def test_without_a_token_the_challenge_names_no_error(client: httpx.AsyncClient, header: str | None) -> None:
    got = await client.get("/me", headers={} if header is None else {"Authorization": header})
    assert problem(got, 401)
    assert got.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("token", ["nonsense", "a.b.c", "x" * 9000, "\xe9".encode("latin-1").decode("latin-1")])
async def test_a_bad_token_gets_one_text(client: httpx.AsyncClient, token: str) -> None:
    got = await client.get("/me", headers={"Authorization": f"Bearer {token}".encode("latin-1")})
    assert problem(got, 401)["detail"] == "Log in to go on."
    assert got.headers["www-authenticate"] == 'Bearer error="invalid_token"'


async def test_an_old_token_is_refused(client: httpx.AsyncClient, hx: HustleX, clock: FixedClock) -> None:
    tokens = await logged_in(client, hx)
    clock.advance(timedelta(minutes=16))
    assert problem(await client.get("/me", headers=bearer(tokens["access_token"])), 401)


async def test_a_server_that_is_gone_is_503_everywhere_never_401(
    app_on: Any, serve: Any, outbox: Outbox, users: Users, client: httpx.AsyncClient, hx: HustleX, clock: FixedClock
) -> None:
    tokens = await logged_in(client, hx)
    challenge = outbox.sent[-1]
    cut_off = app_on("redis://127.0.0.1:1", clock)
    cut_off.include_router(auth_router(send=outbox.send, identify=users.identify))
    cut_off.add_api_route("/me", me)
    async with serve(cut_off) as stranded:
        answers = await asyncio.gather(
            stranded.get("/me", headers=bearer(tokens["access_token"])),
            stranded.post("/auth/otp/request", json={"phone": PHONE}),
            stranded.post("/auth/otp/resend", json={"challenge": challenge}),
            stranded.post("/auth/otp/verify", json={"challenge": challenge, "code": "123456"}),
            stranded.post("/auth/refresh", json={"refresh_token": tokens["refresh_token"]}),
            stranded.post("/auth/logout", headers=bearer(tokens["access_token"])),
        )
    for got in answers:
        assert problem(got, 503)
        assert got.headers["retry-after"] == "5"


# -- asking for a code


async def test_asking_again_too_soon_says_how_long_to_wait(client: httpx.AsyncClient, clock: FixedClock) -> None:
    challenge = await asked(client)
    clock.advance(timedelta(seconds=20))
    for got in (
        await client.post("/auth/otp/request", json={"phone": PHONE}),
        await client.post("/auth/otp/resend", json={"challenge": challenge}),
    ):
        assert problem(got, 429)["type"] == QUOTA
        assert got.headers["retry-after"] == "40"


async def test_resending_keeps_the_challenge_until_its_sends_are_used_up(
    client: httpx.AsyncClient, clock: FixedClock, outbox: Outbox
) -> None:
    challenge = await asked(client)
    for _ in range(2):
        clock.advance(timedelta(seconds=60))
        got = await client.post("/auth/otp/resend", json={"challenge": challenge})
        assert (got.status_code, got.json()["challenge"]) == (202, challenge)
    assert outbox.sent == [challenge] * 3
    clock.advance(timedelta(seconds=120))
    exhausted = await client.post("/auth/otp/resend", json={"challenge": challenge})
    assert problem(exhausted, 429)["detail"].endswith("Start again.")
    assert int(exhausted.headers["retry-after"]) > 0


async def test_a_phones_day_is_capped(client: httpx.AsyncClient, clock: FixedClock) -> None:
    for _ in range(10 + 1):  # one more for each network
        await asked(client)
        clock.advance(timedelta(seconds=60))
    got = await client.post("/auth/otp/request", json={"phone": PHONE})
    assert problem(got, 429)["detail"] == "Too many requests. Try again later."
    assert got.headers["retry-after"] == str(24 * 3600 - 660)
    await asked(client, "0803 123 4568")


@pytest.mark.parametrize(
    ("phone", "detail"),
    [
        ("0803 123 456", "This is not a phone number."),
        ("+234 803 123 4567;ext=5", "This is not a phone number."),
        ("", "This is not a phone number."),
        ("+1 900 555 0123", "Numbers of this kind are not supported."),
        ("+44 70 1234 5678", "Numbers of this kind are not supported."),
    ],
)
async def test_a_phone_that_gets_no_messages_is_a_field_error(
    client: httpx.AsyncClient, outbox: Outbox, phone: str, detail: str
) -> None:
    body = problem(await client.post("/auth/otp/request", json={"phone": phone}), 422)
    assert body["errors"] == [{"in": "body", "name": "phone", "detail": detail}]
    assert outbox.sent == []


async def test_a_delivery_that_cannot_be_queued_costs_the_user_nothing(
    client: httpx.AsyncClient, outbox: Outbox, raw: redis.Redis
) -> None:
    outbox.broken = True
    for _ in range(12):
        got = await client.post("/auth/otp/request", json={"phone": PHONE})
        assert problem(got, 503)
        assert got.headers["retry-after"] == "5"
    outbox.broken = False
    await asked(client)


async def test_a_resend_that_cannot_be_queued_leaves_the_code_good(
    client: httpx.AsyncClient, hx: HustleX, outbox: Outbox, clock: FixedClock
) -> None:
    challenge = await asked(client)
    clock.advance(timedelta(seconds=60))
    outbox.broken = True
    got = await client.post("/auth/otp/resend", json={"challenge": challenge})
    assert problem(got, 503)
    assert got.headers["retry-after"] == "5"
    outbox.broken = False
    assert (await client.post("/auth/otp/resend", json={"challenge": challenge})).status_code == 202
    assert (await verify(client, challenge, await code_of(hx, challenge))).status_code == 200


# -- typing the code


async def test_wrong_codes_count_down_to_a_dead_challenge(client: httpx.AsyncClient, hx: HustleX) -> None:
    challenge = await asked(client)
    code = await code_of(hx, challenge)
    left = []
    for _ in range(6):
        body = problem(await verify(client, challenge, wrong(code)), 400)
        assert body["error"] == "invalid_code"
        left.append((body["left"], body["detail"]))
    assert left == [(n, "The code is wrong.") for n in (4, 3, 2, 1)] + [(0, "Ask for a new code.")] * 2
    assert problem(await verify(client, challenge, code), 400)["left"] == 0


async def test_expired_unknown_used_and_malformed_look_the_same(
    client: httpx.AsyncClient, hx: HustleX, clock: FixedClock
) -> None:
    used = await asked(client)
    code = await code_of(hx, used)
    assert (await verify(client, used, code)).status_code == 200
    clock.advance(timedelta(seconds=60))
    expired = await asked(client)
    late = await code_of(hx, expired)
    malformed = await verify(client, expired, "12345")
    clock.advance(timedelta(minutes=6))
    bodies = [
        problem(got, 400)
        for got in (
            malformed,
            await verify(client, used, code),
            await verify(client, expired, late),
            await verify(client, "oc1.nobody.nothing", "123456"),
            await verify(client, "", ""),
            await client.post("/auth/otp/resend", json={"challenge": expired}),
        )
    ]
    assert all(body == bodies[0] for body in bodies)
    assert bodies[0]["error"] == "invalid_code"
    assert "left" not in bodies[0]


async def test_too_many_wrong_codes_lock_the_phone_with_the_text_of_any_limit(
    client: httpx.AsyncClient, hx: HustleX, clock: FixedClock
) -> None:
    for _ in range(3):
        challenge = await asked(client)
        code = await code_of(hx, challenge)
        for _ in range(5):
            last = await verify(client, challenge, wrong(code))
        clock.advance(timedelta(seconds=60))
    assert problem(last, 429)["detail"] == "Too many requests. Try again later."
    assert last.headers["retry-after"] == "900"
    await asked(client)  # one for each network, which the wrong codes of others do not lock
    clock.advance(timedelta(seconds=60))
    got = await client.post("/auth/otp/request", json={"phone": PHONE})
    assert problem(got, 429) == problem(last, 429)
    assert got.headers["retry-after"] == "780"


async def test_a_code_for_another_purpose_does_not_log_in(client: httpx.AsyncClient, hx: HustleX, users: Users) -> None:
    issued: Any = await hx.otp.issue(PHONE, "pin_reset")
    got = await verify(client, issued.challenge, await code_of(hx, issued.challenge))
    assert problem(got, 400)["error"] == "invalid_code"
    assert users.phones == []


async def test_a_lost_reply_before_login_can_be_repeated_with_the_nonce(client: httpx.AsyncClient, hx: HustleX) -> None:
    challenge = await asked(client)
    code, nonce = await code_of(hx, challenge), "0123456789abcdef"
    await hx.otp.verify(challenge, code, nonce=nonce)
    assert problem(await verify(client, challenge, code), 400)
    assert (await verify(client, challenge, code, nonce=nonce)).status_code == 200
    assert problem(await verify(client, challenge, code, nonce=nonce), 400)


# -- limits, leaks, misuse


async def test_nonsense_uses_half_an_address_up_over_all_three_routes(
    app: FastAPI, serve: Any, outbox: Outbox, users: Users, raw: redis.Redis
) -> None:
    app.include_router(auth_router(send=outbox.send, identify=users.identify))
    async with serve(app) as client:
        bodies = [{"phone": "nonsense"}, {"challenge": "nonsense", "code": "1"}, {"challenge": "nonsense"}]
        routes = ["request", "verify", "resend"]
        answers = [
            await client.post(f"/auth/otp/{routes[number % 3]}", json=bodies[number % 3]) for number in range(100)
        ]
        assert {answer.status_code for answer in answers} == {400, 422}
        assert units(raw, f"ip:{KEYRING.reference('203.0.113.7/32')}") == 50, "it costs nothing, so it may not close it"
        assert (await client.post("/auth/otp/request", json={"phone": PHONE})).status_code == 202


async def test_no_secret_is_logged_stored_or_echoed(
    client: httpx.AsyncClient, hx: HustleX, raw: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    challenge = await asked(client)
    code = await code_of(hx, challenge)
    await verify(client, challenge, wrong(code))
    tokens = (await verify(client, challenge, code)).json()
    await client.post("/auth/refresh", json={"refresh_token": tokens["refresh_token"] + "x"})
    too_long = await client.post("/auth/refresh", json={"refresh_token": tokens["refresh_token"] * 9})
    assert problem(too_long, 422)
    stored = everything_in(raw)
    for secret in ("8031234567", tokens["refresh_token"], tokens["access_token"]):
        assert secret not in caplog.text
        assert secret not in stored
        assert secret not in too_long.text
    assert not re.search(rf"\b{code}\b", caplog.text + stored)


async def test_too_many_sessions_is_a_conflict(client: httpx.AsyncClient, hx: HustleX, url: str) -> None:
    from hustlex.core.keyring import Keyring
    from hustlex.tokens import TokenOptions, Tokens

    keyring = Keyring(b"a test secret of thirty-two bytes or more")
    options = TokenOptions(sessions_per_user=1, evict_oldest=False)
    strict = Tokens(hx.driver, keyring, clock=hx._clock, options=options)
    vars(hx)["tokens"] = strict
    await strict.login("user-4567")
    challenge = await asked(client)
    assert problem(await verify(client, challenge, await code_of(hx, challenge)), 409)


async def test_an_app_that_was_not_installed_does_not_start(url: str) -> None:
    app = FastAPI(lifespan=lifespan(lambda: HustleX(url, timeout=PATIENCE)))
    with pytest.raises(ConfigurationError, match="install"):
        async with app.router.lifespan_context(app):
            pass


async def test_an_app_without_a_lifespan_says_so(app: FastAPI, caplog: pytest.LogCaptureFixture) -> None:
    app.add_api_route("/me", me)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://hustlex.test") as client:
        got = await client.get("/me", headers=bearer("x"))
    assert problem(got, 500)
    assert "this app has no HustleX" in caplog.text
