"""Codes over HTTP beyond the plain login: human checks, known devices, step-up, and what must look alike."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

import httpx
import pytest
import redis
from fastapi import Depends, FastAPI, Request
from pydantic import BaseModel

from hustlex.app import HustleX
from hustlex.core.time import FixedClock
from hustlex.delivery import Message, Texts, deliver_codes
from hustlex.jobs import Tasks
from hustlex.otp import Breaker, Cap, Caps, Country, Email, Issued, Limits, OtpOptions, Risk
from hustlex.testing import drain
from hustlex.web import CodeIn, OtpCodes, auth_router, get_hustlex, install, lifespan
from tests.conftest import PATIENCE, SECRET
from tests.support.otp import KEYRING, PHONE, code_of, phone, units, verified, wrong

MINUTE = timedelta(minutes=1)
TOO_MANY = "Too many requests. Try again later."


class Reset(BaseModel):
    phone: str


class Outbox:
    """A channel that keeps messages."""

    channel = "sms"

    def __init__(self) -> None:
        self.texts: list[str] = []

    async def send(self, message: Message) -> None:
        self.texts.append(message.text)


async def identify(number: str) -> str:
    return f"user-{number[-4:]}"


async def ignore(_: str) -> None:
    """Queue nothing."""


async def by_header(request: Request) -> bool:
    return request.headers.get("x-captcha") == "passed"


def app_with(url: str, clock: FixedClock, **options: Any) -> FastAPI:
    settings = OtpOptions(**options)
    app = FastAPI(lifespan=lifespan(lambda: HustleX(url, timeout=PATIENCE, secret=SECRET, clock=clock, otp=settings)))
    install(app)
    return app


async def asked(client: httpx.AsyncClient, number: str, **more: Any) -> httpx.Response:
    headers = more.pop("headers", None)
    return await client.post("/auth/otp/request", json={"phone": number} | more, headers=headers)


async def test_login_by_code_in_five_lines(url: str, clock: FixedClock, serve: Any) -> None:
    """Request, a worker's message, verify: the code travels by the message alone."""
    outbox, tasks = Outbox(), Tasks()
    app = app_with(url, clock)
    app.include_router(auth_router(send=deliver_codes(tasks, outbox, texts=Texts(app="HustleX")), identify=identify))
    async with serve(app) as client:
        challenge = (await asked(client, PHONE)).json()
        await drain(app.state.hustlex, tasks, state=app.state.hustlex)
        code = outbox.texts[0].split()[1]
        assert challenge["ref"] in outbox.texts[0]
        got = await client.post("/auth/otp/verify", json={"challenge": challenge["challenge"], "code": code})
        assert got.status_code == 200
        assert set(got.json()) == {"access_token", "refresh_token", "token_type", "expires_in"}


async def test_a_known_device_gets_past_strangers(url: str, clock: FixedClock, serve: Any) -> None:
    app = app_with(url, clock)
    app.include_router(auth_router(send=ignore, identify=identify))
    async with serve(app) as client:
        otp = app.state.hustlex.otp
        challenge = (await asked(client, PHONE)).json()["challenge"]
        typed = {"challenge": challenge, "code": await code_of(otp, challenge), "remember": True}
        token = (await client.post("/auth/otp/verify", json=typed)).json()["device_token"]
        for _ in range(3):
            clock.advance(MINUTE)
            challenge = (await asked(client, PHONE)).json()["challenge"]
            code = await code_of(otp, challenge)
            for step in range(1, 6):
                await client.post("/auth/otp/verify", json={"challenge": challenge, "code": wrong(code, step)})
        clock.advance(MINUTE)
        assert (await asked(client, PHONE)).json()["challenge"].endswith(".es"), "the one of this network"
        clock.advance(MINUTE)
        assert (await asked(client, PHONE)).status_code == 429
        got = await asked(client, PHONE, device_token=token)
        assert got.status_code == 202
        code = await code_of(otp, got.json()["challenge"])
        again = await client.post("/auth/otp/verify", json={"challenge": got.json()["challenge"], "code": code})
        assert again.status_code == 200


async def test_a_human_check_opens_what_a_breaker_closed(url: str, clock: FixedClock, serve: Any) -> None:
    app = app_with(url, clock, breaker=Breaker(sends=5, settle=timedelta(hours=1)))
    app.include_router(auth_router(send=ignore, identify=identify, human_check=by_header))
    async with serve(app) as client:
        for number in range(5):
            assert (await asked(client, phone(number))).status_code == 202
        for headers in (None, {"x-captcha": "failed"}):
            refused = await asked(client, phone(9), headers=headers)
            assert refused.status_code == 403
            assert refused.json()["type"] == "urn:hustlex:problem:human-check-required"
            assert refused.json()["obstacle"] == "low_conversion"
        passed = {"x-captcha": "passed"}
        assert (await asked(client, phone(9), headers=passed)).status_code == 202


async def test_a_human_check_opens_a_phone_that_strangers_used_up(url: str, clock: FixedClock, serve: Any) -> None:
    app = app_with(url, clock, limits=Limits(sends=1))
    app.include_router(auth_router(send=ignore, identify=identify, human_check=by_header))
    async with serve(app) as client:
        for _ in range(2):
            assert (await asked(client, PHONE)).status_code == 202
            clock.advance(MINUTE)
        refused = await asked(client, PHONE)
        assert (refused.status_code, refused.json()["obstacle"]) == (403, "used_up")
        passed = {"x-captcha": "passed"}
        assert (await asked(client, PHONE, headers=passed)).status_code == 202
        clock.advance(MINUTE)
        assert (await asked(client, PHONE, headers=passed)).status_code == 429


async def test_all_limits_look_alike(url: str, clock: FixedClock, serve: Any) -> None:
    """A phone's day, a lock, each kind of cap, the money: one body."""
    narrow, wide = Cap(1, timedelta(hours=1)), Cap(100, timedelta(hours=1))
    calm = Breaker(sends=10**6)
    cases: list[dict[str, Any]] = [
        {"caps": Caps(ip=narrow)},
        {"caps": Caps(prefix=narrow)},
        {"caps": Caps(block=narrow)},
        {"countries": {"NG": Country(cap=narrow)}},
        {"countries": {"NG": Country(price=4, budget=5, kept=0)}},
        {"breaker": Breaker(sends=1, settle=timedelta(hours=1)), "caps": Caps(prefix=wide)},
    ]
    bodies = []
    for case in cases:
        app = app_with(url, clock, **({"breaker": calm} | case))
        app.include_router(auth_router(send=ignore, identify=identify))
        async with serve(app) as client:
            redis.Redis.from_url(url).flushall()
            assert (await asked(client, phone(1, 1))).status_code == 202
            got = await asked(client, phone(1, 2))
            assert int(got.headers["retry-after"]) > 0
            bodies.append((got.status_code, got.json(), sorted(got.headers)))
    app = app_with(url, clock, breaker=calm, caps=None)
    app.include_router(auth_router(send=ignore, identify=identify))
    async with serve(app) as client:
        redis.Redis.from_url(url).flushall()
        for _ in range(12):
            got = await asked(client, PHONE)
            clock.advance(MINUTE)
        bodies.append((got.status_code, got.json(), sorted(got.headers)))
    assert len(bodies) == 7
    assert all(body == bodies[0] for body in bodies)
    assert bodies[0][1]["detail"] == TOO_MANY


async def test_known_and_unknown_phones_look_alike(url: str, clock: FixedClock, serve: Any) -> None:
    """A route that sends to accounts only: same status, same headers, same shape, and the same wrong answers."""
    app = app_with(url, clock)
    codes = OtpCodes(send=ignore, purpose="login")

    async def ask(body: Reset, request: Request, front: Annotated[HustleX, Depends(get_hustlex)]) -> Any:
        return await codes.ask(front, request, body.phone, deliver=body.phone.endswith("1"))

    async def check(body: CodeIn, request: Request, front: Annotated[HustleX, Depends(get_hustlex)]) -> Any:
        return {"by": (await codes.check(front, request, body)).subject}

    app.add_api_route("/ask", ask, methods=["POST"], status_code=202)
    app.add_api_route("/check", check, methods=["POST"])
    async with serve(app) as client:
        seen = []
        for number in (phone(1, 1), phone(2, 2)):
            got = await client.post("/ask", json={"phone": number})
            challenge = got.json()["challenge"]
            shape = {name: (type(value), len(str(value))) for name, value in got.json().items()}
            guesses = [
                await client.post("/check", json={"challenge": challenge, "code": f"{guess:06}"}) for guess in range(7)
            ]
            again = await client.post("/ask", json={"phone": number})
            answers = [(guess.status_code, guess.json(), sorted(guess.headers)) for guess in [*guesses, again]]
            seen.append((got.status_code, shape, sorted(got.headers), len(got.content), answers))
        if any(answer[0] == 200 for answer in seen[0][4]):
            pytest.skip("guessed right")
        assert seen[0] == seen[1]


async def test_a_transfer_is_approved_by_a_code_for_exactly_it(
    url: str, clock: FixedClock, serve: Any, raw: redis.Redis
) -> None:
    outbox, tasks = Outbox(), Tasks()
    codes = OtpCodes(send=deliver_codes(tasks, outbox, texts=Texts(app="HustleX")), purpose="transaction")
    transfers = {1: {"amount_minor": 500_000, "to": "0123456789"}, 2: {"amount_minor": 900_000, "to": "0123456789"}}
    app = app_with(url, clock)

    async def ask(number: int, request: Request, front: Annotated[HustleX, Depends(get_hustlex)]) -> Any:
        about, risk = f"NGN {transfers[number]['amount_minor']} to ADA", Risk(sim_swap=timedelta(days=number))
        return await codes.ask(
            front, request, PHONE, ctx=transfers[number], about=about, user_id="user-1", lane="known", risk=risk
        )

    async def confirm(
        number: int, body: CodeIn, request: Request, front: Annotated[HustleX, Depends(get_hustlex)]
    ) -> Any:
        proof = await codes.check(front, request, body, ctx=transfers[number])
        return {"paid": number, "by": proof.user_id}

    app.add_api_route("/transfers/{number}/code", ask, methods=["POST"], status_code=202)
    app.add_api_route("/transfers/{number}/confirm", confirm, methods=["POST"])
    transfers[30], transfers[31] = transfers.pop(1), transfers.pop(2)
    transfers[3] = transfers[30]
    async with serve(app) as client:
        fresh = await client.post("/transfers/3/code")
        assert (fresh.status_code, fresh.json()["obstacle"]) == (403, "sim_swap")
        challenge = (await client.post("/transfers/30/code")).json()["challenge"]
        await drain(app.state.hustlex, tasks, state=app.state.hustlex)
        code = outbox.texts[0].split()[1]
        assert "NGN 500000 to ADA" in outbox.texts[0]
        typed = {"challenge": challenge, "code": code}
        other = await client.post("/transfers/31/confirm", json=typed)
        assert (other.status_code, other.json()["left"]) == (400, 4)
        assert (await client.post("/transfers/30/confirm", json=typed)).json() == {"paid": 30, "by": "user-1"}
        assert (await client.post("/transfers/30/confirm", json=typed)).status_code == 400


async def test_a_resend_that_is_not_queued_costs_no_message(
    url: str, clock: FixedClock, serve: Any, raw: redis.Redis
) -> None:
    broken = False

    async def send(_: str) -> None:
        if broken:
            raise RuntimeError("queue down")

    app = app_with(url, clock)
    app.include_router(auth_router(send=send, identify=identify))
    async with serve(app) as client:
        challenge = (await asked(client, PHONE)).json()["challenge"]
        clock.advance(MINUTE)
        broken = True
        got = await client.post("/auth/otp/resend", json={"challenge": challenge})
        assert (got.status_code, got.headers["retry-after"]) == (503, "5")
        assert units(raw, "cc:NG") == 1
        assert units(raw, f"ip:{KEYRING.reference('203.0.113.7/32')}") == 1
        broken = False
        for seconds in (60, 120):
            assert (await client.post("/auth/otp/resend", json={"challenge": challenge})).status_code == 202
            clock.advance(timedelta(seconds=seconds))
        otp = app.state.hustlex.otp
        await verified(otp, Issued(challenge, "", MINUTE, MINUTE, 1))


@pytest.mark.parametrize(
    ("options", "check", "says"), [({}, None, True), ({"caps": None}, None, False), ({}, by_header, False)]
)
async def test_the_start_says_where_nobody_can_show_to_be_human(
    url: str, clock: FixedClock, serve: Any, caplog: pytest.LogCaptureFixture, options: Any, check: Any, says: bool
) -> None:
    app = app_with(url, clock, **options)
    app.include_router(auth_router(send=ignore, identify=identify, human_check=check), prefix="/v1")
    async with serve(app) as client:
        assert ("human_check" in caplog.text) is says
        caplog.clear()
        await client.post("/v1/auth/otp/request", json={"phone": PHONE})
        assert "human_check" not in caplog.text


async def test_without_a_human_check_a_breaker_says_when_to_come_back(url: str, clock: FixedClock, serve: Any) -> None:
    app = app_with(url, clock)
    app.include_router(auth_router(send=ignore, identify=identify))
    async with serve(app) as client:
        for number in range(20):
            await asked(client, phone(number))
        slow = await asked(client, phone(30))
        assert (slow.status_code, slow.json()["detail"], slow.headers["retry-after"]) == (429, TOO_MANY, "360")
        clock.advance(timedelta(seconds=360))
        assert (await asked(client, phone(31))).status_code == 202


async def test_login_by_e_mail(url: str, clock: FixedClock, serve: Any) -> None:
    async def by_address(address: str) -> int:
        assert address == "Ada.Obi@example.com"
        return 7

    outbox, tasks = Outbox(), Tasks()
    outbox.channel = "email"
    app = app_with(url, clock)
    send = deliver_codes(tasks, outbox, texts=Texts(app="HustleX"))
    app.include_router(auth_router(send=send, identify=identify, identify_email=by_address))
    async with serve(app) as client:
        got = await client.post("/auth/otp/request", json={"email": "Ada.Obi@EXAMPLE.com"})
        await drain(app.state.hustlex, tasks, state=app.state.hustlex)
        typed = {"challenge": got.json()["challenge"], "code": outbox.texts[0].split()[1]}
        tokens = (await client.post("/auth/otp/verify", json=typed)).json()
        access = await app.state.hustlex.tokens.check(tokens["access_token"])
        assert access.user_id == "7"
        for body, name in (
            ({"email": "nobody"}, "email"),
            ({"email": "ada@example.com", "phone": PHONE}, "email"),
            ({}, "phone"),
        ):
            refused = await client.post("/auth/otp/request", json=body)
            assert (refused.status_code, refused.json()["errors"][0]["name"]) == (422, name)


async def test_an_address_where_only_phones_log_in(url: str, clock: FixedClock, serve: Any) -> None:
    app = app_with(url, clock)
    app.include_router(auth_router(send=ignore, identify=identify))
    async with serve(app) as client:
        refused = await client.post("/auth/otp/request", json={"email": "ada@example.com"})
        assert refused.json()["errors"] == [{"in": "body", "name": "email", "detail": "Codes are sent to phones here."}]
        otp = app.state.hustlex.otp
        issued = await otp.issue(Email("ada@example.com"))
        typed = {"challenge": issued.challenge, "code": await code_of(otp, issued.challenge)}
        assert (await client.post("/auth/otp/verify", json=typed)).status_code == 400
