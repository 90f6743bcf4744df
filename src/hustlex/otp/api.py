"""One-time passwords by phone: issue, resend, verify, then spend the grant."""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from hustlex.core.keyring import Keyring
from hustlex.core.op import AsyncDriver
from hustlex.core.time import Clock, server_clock
from hustlex.otp import flows
from hustlex.otp.codes import Codes, Context
from hustlex.otp.ops import ENTROPY, Room
from hustlex.otp.rules import LIMITS, NUMBERS, POLICIES, Limits, Numbers, Policy, check_purposes
from hustlex.otp.types import GrantResult, IssueResult, OpenResult, ResendResult, VerifyResult


class Otp:
    """Codes that exist nowhere: Redis and the job queue hold what is needed to derive them, never a code or a phone.

    keyring: the environment's root secret. policies: one per purpose. limits: per phone, over all purposes.
    numbers: which phones are served. Every verb is one round trip; results are values, see ``hustlex.otp.types``.
    All raise Unavailable when the server cannot be asked: then nothing is let through.
    """

    def __init__(
        self,
        driver: AsyncDriver,
        keyring: Keyring,
        *,
        prefix: str = "",
        clock: Clock = server_clock,
        policies: Mapping[str, Policy] = POLICIES,
        limits: Limits = LIMITS,
        numbers: Numbers = NUMBERS,
    ) -> None:
        self._driver = driver
        self._clock = clock
        self._room = Room(Codes(keyring), prefix, check_purposes(policies), limits, numbers)

    async def issue(self, phone: str, purpose: str = "login", *, ctx: Context | None = None) -> IssueResult:
        """Open a challenge. Give ``Issued.challenge`` to the client and queue a job with it that calls ``open``.

        phone: as typed, at most 40 characters. ctx: what is being approved, computed by the server; the code, and
        later the grant, are good for nothing else. Raises Misuse for an unknown purpose or a missing ctx.
        """
        return await self._driver.follow(
            flows.issue(self._room, phone, purpose, ctx, secrets.token_bytes(ENTROPY), self._clock())
        )

    async def resend(self, challenge: str) -> ResendResult:
        """Send again. The same code while 120 s of its life remain (nothing is extended), then a new one."""
        return await self._driver.follow(flows.resend(self._room, challenge, self._clock()))

    async def verify(
        self, challenge: str, code: str, *, ctx: Context | None = None, nonce: str | None = None
    ) -> VerifyResult:
        """Check a code and count the attempt, in one atomic step; of any number of right calls one is Verified.

        code: as typed; blanks, dashes and digits of other scripts are read. nonce: random text of the client's; the
        same call with the same nonce within 60 s gets the same answer, for a reply that was lost.
        """
        return await self._driver.follow(
            flows.verify(self._room, challenge, code, ctx, nonce, secrets.token_urlsafe(16), self._clock())
        )

    async def verify_phone(
        self, phone: str, code: str, purpose: str = "default", *, ctx: Context | None = None, nonce: str | None = None
    ) -> VerifyResult:
        """Check a code knowing only the phone; for purposes with binding "subject", else Misuse.

        Weaker than ``verify``: anyone who knows the number can use up the attempts.
        """
        return await self._driver.follow(
            flows.verify_phone(self._room, phone, code, purpose, ctx, nonce, secrets.token_urlsafe(16), self._clock())
        )

    async def open(self, challenge: str) -> OpenResult:
        """What the message must say, derived now. Gone: do not send; spent, void, or less than 20 s to live."""
        return await self._driver.follow(flows.open_challenge(self._room, challenge, self._clock()))

    async def consume_grant(self, grant: str, purpose: str, ctx: Context | None = None) -> GrantResult:
        """Spend a grant for exactly the purpose and ctx that were verified; one caller gets Granted."""
        return await self._driver.follow(flows.consume_grant(self._room, grant, purpose, ctx, self._clock()))

    async def cancel(self, challenge: str, *, unsent: bool = False) -> bool:
        """Void a challenge. unsent: its message was never queued, so the send and the pause are given back.

        True when the challenge is void now, False when there was nothing open to void.
        """
        return await self._driver.follow(flows.cancel(self._room, challenge, unsent))
