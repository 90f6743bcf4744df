"""What a user's type checker sees of outcomes of all rooms. See jobs.py for how to read this."""

from __future__ import annotations

from contextlib import aclosing
from datetime import timedelta
from typing import assert_type

from hustlex import HustleX, Tasks
from hustlex.idempotency import Executed, Replay
from hustlex.jobs import CurrentJob, Handle, Item, current_job
from hustlex.otp import Resent, Verified
from hustlex.pins import PinHashed, PinOk
from hustlex.ratelimit import Decision, Policy
from hustlex.tokens import Access, Refreshed, TokenPair

tasks = Tasks()


class Wallets:
    paid: int = 0


@tasks.task("pay")
async def pay(n: int) -> dict[str, int]:
    assert_type(current_job(Wallets), CurrentJob[Wallets])
    return {"n": n, "paid": current_job(Wallets).state.paid}


async def outcomes(hx: HustleX) -> None:
    issued = (await hx.otp.issue("0803 123 4567")).or_raise()
    assert_type(issued.challenge, str)
    assert_type((await hx.otp.resend(issued.challenge)).or_raise(), Resent)
    assert_type((await hx.otp.verify(issued.challenge, "123456")).or_raise(), Verified)
    pair = (await hx.tokens.login("user-42")).or_raise()
    assert_type(pair, TokenPair)
    assert_type((await hx.tokens.check(pair.access)).or_raise(), Access)
    assert_type((await hx.tokens.refresh(pair.refresh)).or_raise(), Refreshed)
    assert_type((await hx.pins.hash("u", "2580")).or_raise(), PinHashed)
    assert_type((await hx.pins.verify("u", "2580", "v")).or_raise(), PinOk)
    assert_type(
        (await hx.ratelimit.check(Policy("p", 5, timedelta(minutes=1)), "u", endpoint="/")).or_raise(), Decision
    )


async def jobs(hx: HustleX) -> list[Item]:
    handle = (await hx.jobs.enqueue(pay.job(7))).or_raise()
    assert_type(handle, Handle[dict[str, int]])
    assert_type(await handle.result(timeout=timedelta(seconds=5)), dict[str, int])
    async with aclosing(hx.jobs.follow(handle)) as items:
        return [item async for item in items]


def run(answer: Executed | Replay) -> None:
    assert_type(answer.or_raise(), Executed | Replay)
