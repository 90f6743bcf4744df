"""One-time passwords by phone or e-mail: issue, resend, verify, then spend the grant."""

from __future__ import annotations

import secrets

from hustlex.core import check
from hustlex.core.answer.aio import answering, told
from hustlex.core.check import Id
from hustlex.core.context import Context
from hustlex.core.keyring import Keyring
from hustlex.core.op import AsyncDriver
from hustlex.core.time import Clock, server_clock
from hustlex.otp import breakers, flows, totp
from hustlex.otp.email import Email
from hustlex.otp.flows import IssueRequest, VerifyRequest
from hustlex.otp.inspector import OtpInspector
from hustlex.otp.names import Lane
from hustlex.otp.ops import ENTROPY
from hustlex.otp.room import services_of
from hustlex.otp.rules import OtpOptions, Risk, noting
from hustlex.otp.types import (
    DeliveryStatus,
    Enrolment,
    GrantResult,
    IssueResult,
    OpenResult,
    ResendResult,
    VerifyResult,
)


@answering
class Otp:
    """Codes that exist nowhere: Redis and the job queue hold what is needed to derive them, never a code or a phone.

    keyring: the environment's root secret. options: policies, limits, caps and all else that can be set. Results are
    values, see ``hustlex.otp.types``. All raise Unavailable when the server cannot be asked: then nothing is let
    through. ip, everywhere: the client's address, for the caps of addresses; None where it is not known.
    """

    def __init__(
        self,
        driver: AsyncDriver,
        keyring: Keyring,
        *,
        prefix: str = "",
        clock: Clock = server_clock,
        options: OtpOptions | None = None,
    ) -> None:
        self._driver = check.driver(driver)
        self._clock = clock
        self._room = services_of(keyring, prefix, noting(options or OtpOptions(), driver.hook))
        self.inspector = OtpInspector(driver, self._room, clock)
        told(self, driver.hook)

    @property
    def options(self) -> OtpOptions:
        """All that was set."""
        return self._room.options

    async def issue(
        self,
        phone: str | Email,
        purpose: str = "login",
        *,
        ctx: Context | None = None,
        about: str = "",
        ip: str | None = None,
        lane: Lane = "anon",
        device: str = "",
        user_id: Id = "",
        deliver: bool = True,
        risk: Risk | None = None,
        human: bool = False,
    ) -> IssueResult:
        """Open a challenge. Give ``Issued.challenge`` to the client and queue a job with it that calls ``open``.

        phone: as typed, at most 40 characters; or ``Email("ada@example.com")``, also wherever else a phone is taken.
        ctx: what is being approved, computed by the server; the code, and later the grant, are good for nothing else.
        about: the same for the person, as "NGN 5,000.00 to ADA OBI", one line of at most 100 characters; it is stored
        encrypted, for the message. lane: "known" when the request carries a valid session of this user. device: the
        token of an earlier ``Verified.device``; a good one makes the lane known too. user_id: opaque, comes back with
        the grant. deliver: False makes a decoy, for a phone without an account where that must not show. risk: what is
        known of the phone. human: the client has passed a human check.

        Three round trips: the caps, the phone, and what is counted or given back; one more where a device is shown.
        Raises Misuse for an unknown purpose, a missing ctx or an ip that is none. Source: lua/reserve.lua,
        lua/issue.lua.
        """
        ask = IssueRequest(phone, purpose, ctx, about, ip, lane, device, user_id, deliver, risk, human)
        return await self._driver.follow(flows.issue(self._room, ask, secrets.token_bytes(ENTROPY), self._clock()))

    async def resend(self, challenge: str, *, ip: str | None = None, human: bool = False) -> ResendResult:
        """Send again. The same code while 120 s of its life remain (nothing is extended), then a new one."""
        return await self._driver.follow(flows.resend(self._room, challenge, ip, human, self._clock()))

    async def verify(
        self,
        challenge: str,
        code: str,
        *,
        ctx: Context | None = None,
        nonce: str | None = None,
        ip: str | None = None,
        remember: bool = False,
    ) -> VerifyResult:
        """Check a code and count the attempt, in one atomic step; of any number of right calls one is Verified.

        One round trip; with caps a second one tells them what became of the code, one for all callers at that moment.
        code: as typed; blanks, dashes and digits of other scripts are read. nonce: random text of the client's; the
        same call with the same nonce within 60 s gets the same answer, for a reply that was lost. remember: answer a
        ``device`` token with the success. Source: lua/verify.lua.
        """
        answer = VerifyRequest(code, ctx, nonce, ip, remember, secrets.token_urlsafe(16))
        return await self._driver.follow(flows.verify(self._room, challenge, answer, self._clock()))

    async def verify_phone(
        self,
        phone: str | Email,
        code: str,
        purpose: str = "default",
        *,
        lane: Lane = "anon",
        ctx: Context | None = None,
        nonce: str | None = None,
        ip: str | None = None,
    ) -> VerifyResult:
        """Check a code knowing only the phone; for purposes with binding "subject", else Misuse.

        Weaker than ``verify``: anyone who knows the number can use up the attempts.
        """
        answer = VerifyRequest(code, ctx, nonce, ip, False, secrets.token_urlsafe(16))
        return await self._driver.follow(flows.verify_phone(self._room, phone, purpose, lane, answer, self._clock()))

    async def open(self, challenge: str, *, claim: str = "") -> OpenResult:
        """What the message must say, derived now. Gone: do not send; spent, void, or less than 20 s to live.

        claim: who is about to send it, as the job's id. Of several claimants of one send one gets the Delivery, as
        often as it asks; without a claim everybody does.
        """
        return await self._driver.follow(flows.open_challenge(self._room, challenge, claim, self._clock()))

    async def consume_grant(self, grant: str, purpose: str, ctx: Context | None = None) -> GrantResult:
        """Spend a grant for exactly the purpose and ctx that were verified; one caller gets Granted."""
        return await self._driver.follow(flows.consume_grant(self._room, grant, purpose, ctx, self._clock()))

    async def cancel(self, challenge: str, *, unsent: bool = False) -> bool:
        """Void a challenge. unsent: its message was never queued, so the send and the pause are given back.

        True when the challenge is void now, False when there was nothing open to void.
        """
        return await self._driver.follow(flows.cancel(self._room, challenge, unsent, self._clock()))

    async def delivery_report(self, challenge: str, status: DeliveryStatus, *, channel: str = "") -> bool:
        """What became of the last message. FAILED, for good: its send and its units are given back, but not the
        address' one. UNQUEUED: these too, and the pause. True when something was given back; a report that is repeated
        gives nothing back. The others are only told on. channel: what it went by, as "sms".
        """
        return await self._driver.follow(flows.delivery_report(self._room, challenge, status, channel, self._clock()))

    async def unlock(self, phone: str | Email, lane: Lane) -> bool:
        """Forget a lane's lock and wrong codes; for an administrator, and written to the log. True when there were
        any. Raises Misuse for a phone that is not served.
        """
        return await self._driver.follow(flows.unlock(self._room, phone, lane))

    async def close_breaker(self, name: str) -> bool:
        """Let the messages of a scope pass again that its breaker slows down; its hour begins anew. For an
        administrator who knows why the codes were not typed. name: of an ``OpenBreaker``, as ``cc:NG``. True when it
        was slowed down. Raises Misuse, Unavailable. Source: lua/close_breaker.lua.
        """
        return await self._driver.run(breakers.close(self._room, name))

    def totp_enrol(self, user_id: Id, *, issuer: str, account: str) -> Enrolment:
        """A new authenticator secret for a user. Show ``uri`` once as a QR code, keep ``sealed`` with the user.

        user_id: who it is for, from then on always the same text: the user's id, or the phone in E.164 to share the
        counters of wrong codes with the phone's text messages. issuer, account: shown in the authenticator.
        """
        return totp.enrol(self._room, user_id, issuer, account, secrets.token_bytes(totp.ENTROPY))

    def totp_reseal(self, user_id: Id, sealed: str) -> str:
        """``sealed`` anew, with the secret in use: for the application's rows while an old secret is given up.

        Raises BadReply when it is another user's, or of a secret that is not listed.
        """
        return totp.reseal(self._room, user_id, sealed, secrets.token_bytes(12))

    async def totp_verify(
        self,
        user_id: Id,
        sealed: str,
        code: str,
        purpose: str = "login",
        *,
        ctx: Context | None = None,
        lane: Lane = "anon",
    ) -> VerifyResult:
        """Check an authenticator's code (RFC 6238): one step early or late is good, and each step once.

        sealed: of ``totp_enrol``. The wrong ones count as those of text messages do. Source: lua/totp.lua.
        """
        typed = totp.Typed(totp.subject_of(user_id), sealed, code, purpose, ctx, lane)
        entropy = secrets.token_bytes(totp.GRANT_ENTROPY)
        return await self._driver.follow(totp.verify(self._room, typed, entropy, self._clock()))
