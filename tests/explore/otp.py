"""One-time passwords: issue, resend and verify. The owner and a thief know the code, a guesser does not, and the client
asks for the message again.

Invariants:

- A code is accepted once; a repeat of that very call, by its nonce, is told the same and nobody else is.
- A grant is spent once.
- Between two renewals of the code no more wrong ones are compared than the policy allows, and after so many no
  right one is accepted.
- No more messages than the policy allows, and none before the pause after the last one is over.
- In the end the right code is accepted, unless one was before, or the challenge is locked or over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import msgspec

from hustlex.core.keyring import Keyring
from hustlex.core.op import Op
from hustlex.errors import OutcomeUnknown
from hustlex.otp import flows, ops
from hustlex.otp.flows import IssueRequest, VerifyRequest
from hustlex.otp.outcome_buffer import OutcomeBuffer
from hustlex.otp.room import OtpServices, services_of
from hustlex.otp.rules import Limits, OtpOptions, Policy
from hustlex.otp.types import Delivery, Issued, Verified, VerifyResult
from tests.explore.engine import Mutation, Protocol, argument
from tests.explore.server import Look
from tests.explore.world import Bounds, Broken, Story, World

ATTEMPTS, SENDS, PAUSE_MS, LIFE_MS = 2, 2, 60_000, 300_000
OPTIONS = OtpOptions(
    policies={"login": Policy(attempts=ATTEMPTS, sends=SENDS, cooldowns=(timedelta(milliseconds=PAUSE_MS),))},
    limits=Limits(sends=3, wrong=5),
    caps=None,
)
ROOM = services_of(Keyring(b"a test secret of thirty-two bytes or more"), "", OPTIONS)
ENTROPY = bytes(range(ops.ENTROPY))
NOT_YET_MS, RENEWS_MS = 59_000, 200_000
"""A resend is refused after the one, and brings a new code after the other."""


@dataclass
class Log:
    challenge: str = ""
    code: str = ""
    accepted_by: str = ""
    """The mark of the nonce with which the code was accepted."""
    wrong: int = 0
    """Since the code was made."""
    locked: bool = False
    sends: int = 1
    sent_at: int = 0
    ends: int = 0
    grants: int = 0


class Otp(Protocol):
    name = "otp"
    ticks = (NOT_YET_MS, RENEWS_MS)
    short = (
        Bounds(1, 0, cast=("owner", "thief")),
        Bounds(0, 0, cast=("owner", "guesser")),
        Bounds(0, 1, cast=("guesser", "client")),
        Bounds(0, 1, cast=("owner", "client")),
    )
    long = (
        Bounds(0, 1),
        Bounds(1, 0),
        Bounds(2, 1, cast=("owner", "thief")),
        Bounds(2, 1, cast=("owner", "guesser")),
        Bounds(2, 2, cast=("owner", "client")),
        Bounds(2, 2, cast=("guesser", "client")),
    )

    def mutations(self) -> Sequence[Mutation]:
        return (
            Mutation(
                "told-to-anybody",
                ops._VERIFY,
                (
                    (
                        "nonce ~= '' and nonce == mark and now - used < 60000 and {1, 1, now, ''} or {2}",
                        "{1, 1, now, ''}",
                    ),
                ),
            ),
            Mutation(
                "never-spent",
                ops._VERIFY,
                (
                    ("seal(record, 'used', 'used_at', now, 'n', nonce)", ""),
                    ("if unlist(list, act, id) == 0 then return {0} end", ""),
                ),
            ),
            Mutation(
                "guesses-are-free",
                ops._VERIFY,
                (("redis.call('HINCRBY', record, 'att', 1)", "(redis.call('HGET', record, 'att') + 1)"),),
            ),
            Mutation("no-pause", ops._RESEND, (("tonumber(earliest) > now", "false"),)),
            Mutation("grants-stay", ops._CONSUME_GRANT, (("redis.call('SET', grant, '', 'KEEPTTL')", ""),)),
        )

    def ledger(self) -> Log:
        return Log()

    def setup(self, world: World) -> Story:
        """A code was sent, and people know it."""
        log: Log = world.ledger
        issued = yield from flows.issue(_room(), IssueRequest("+2348031234567", "login"), ENTROPY, 0)
        assert isinstance(issued, Issued), issued
        delivery = yield from flows.open_challenge(_room(), issued.challenge, "", 0)
        assert isinstance(delivery, Delivery), delivery
        log.challenge, log.code = issued.challenge, delivery.code
        log.sent_at, log.ends = world.now_ms, world.now_ms + LIFE_MS

    def actors(self, world: World) -> None:
        log: Log = world.ledger
        world.add("owner", _sign_in(log.challenge, log.code, "owner's"))
        world.add("thief", _sign_in(log.challenge, log.code, "thief's"))
        world.add("guesser", _guess(log.challenge, log.code))
        world.add("client", _resend(log.challenge))

    def saw(self, world: World, actor: str, op: Op[Any], reply: Any) -> None:
        log: Log = world.ledger
        if op.name == "otp.verify":
            self._judged(log, str(argument(op, "nonce")), reply)
        elif op.name == "otp.consume_grant" and reply[0] == 1:
            log.grants += 1
            if log.grants > 1:
                raise Broken("a grant was spent twice")
        elif op.name == "otp.resend" and reply[0] == 1:
            if world.now_ms - log.sent_at < PAUSE_MS:
                raise Broken(f"sent again after {world.now_ms - log.sent_at} ms")
            log.sends, log.sent_at = log.sends + 1, world.now_ms
            if log.sends > SENDS:
                raise Broken(f"{log.sends} messages were sent")
            if reply[1] == 1:
                log.wrong, log.code, log.ends = 0, "", world.now_ms + LIFE_MS

    def _judged(self, log: Log, mark: str, reply: Any) -> None:
        if reply[0] == 1 and reply[1] == 0:
            if log.accepted_by:
                raise Broken("a code was accepted twice")
            if log.wrong >= ATTEMPTS:
                raise Broken(f"a code was accepted after {log.wrong} wrong ones")
            log.accepted_by = mark
        elif reply[0] == 1 and mark != log.accepted_by:
            raise Broken("one caller was told what another had earned")
        elif reply[0] == 4 or (reply[0] == 5 and reply[1]):
            log.wrong += 1
            log.locked = reply[0] == 5
            if log.wrong > ATTEMPTS:
                raise Broken(f"{log.wrong} wrong codes were compared")

    def check(self, world: World, look: Look) -> None:
        log: Log = world.ledger
        for key in look:
            if key.startswith("otp:") and ":login:" in key and look.pairs(key)["st"] == "active" and log.accepted_by:
                raise Broken("the code was accepted, and its challenge is still open")

    def closing(self, world: World) -> Story:
        """Somebody with the message before him types the code in."""
        log: Log = world.ledger
        room = _room()
        delivery = yield from flows.open_challenge(room, log.challenge, "", 0)
        code = delivery.code if isinstance(delivery, Delivery) else log.code or "000000"
        result: VerifyResult = yield from flows.verify(room, log.challenge, _answer(code, "closing"), 0)
        open_to = isinstance(delivery, Delivery)
        if open_to and not isinstance(result, Verified):
            raise Broken(f"the code of an open challenge was answered {type(result).__name__}")

    def final(self, world: World, look: Look) -> None:
        log: Log = world.ledger
        if not log.accepted_by and not log.locked and world.now_ms < log.ends - 20_000:
            raise Broken("nobody could sign in")


def _room() -> OtpServices:
    return msgspec.structs.replace(ROOM, outcomes=OutcomeBuffer())


def _answer(code: str, nonce: str) -> VerifyRequest:
    return VerifyRequest(code, nonce=nonce, salt="0123456789012345678901")


def _sign_in(challenge: str, code: str, nonce: str) -> Story:
    """Verify, with the same nonce again when the reply is lost, then spend the grant."""
    room = _room()
    try:
        result = yield from flows.verify(room, challenge, _answer(code, nonce), 0)
    except OutcomeUnknown:
        result = yield from flows.verify(room, challenge, _answer(code, nonce), 0)
    if not isinstance(result, Verified):
        return
    try:
        yield from flows.consume_grant(room, result.grant, "login", None, 0)
    except OutcomeUnknown:
        yield from flows.consume_grant(room, result.grant, "login", None, 0)


def _guess(challenge: str, code: str) -> Story:
    for step in range(1, ATTEMPTS + 1):
        wrong = str((int(code) + step) % 10**6).zfill(6)
        yield from flows.verify(_room(), challenge, VerifyRequest(wrong, salt="0123456789012345678901"), 0)


def _resend(challenge: str) -> Story:
    """Twice, whatever the first led to."""
    for _ in range(2):
        try:
            yield from flows.resend(_room(), challenge, None, False, 0)
        except OutcomeUnknown:
            continue
