"""The door of the tokens room."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from hustlex.core import check
from hustlex.core.answer.aio import Answer, answering, later, now, told
from hustlex.core.check import Id
from hustlex.core.follower.aio import Follower
from hustlex.core.keyring import Keyring
from hustlex.core.op import AsyncDriver, Op
from hustlex.core.time import Clock, server_clock
from hustlex.tokens import flows, ops
from hustlex.tokens.guard import Guard, WatchedGuard
from hustlex.tokens.inspector import TokenInspector
from hustlex.tokens.issuer import TokenIssuer
from hustlex.tokens.keyset import Jwk
from hustlex.tokens.options import Mode, TokenOptions, policy_of
from hustlex.tokens.revocation_cache import Feeding, RevocationCache
from hustlex.tokens.revocation_log import BLOCK_S, LogReader
from hustlex.tokens.revoker import Revoker
from hustlex.tokens.signing import Signing
from hustlex.tokens.subscriptions import TTL, SubscriptionTokens
from hustlex.tokens.types import (
    Access,
    CheckResult,
    KeyInfo,
    LoginResult,
    LogoutResult,
    ProofResult,
    RefreshResult,
    Rejected,
    RevokedAll,
    RevokedSession,
    RevokeResult,
    SessionInfo,
    SubscriptionResult,
    SubscriptionToken,
)


@answering
class Tokens:
    """Access tokens, refresh tokens and the sessions behind them. options: see TokenOptions.

    What takes rights away (logout, revoke_*, retire_key) raises RevocationIncomplete when it stands, but other
    processes' bounded checks could not be told of it.
    """

    def __init__(
        self,
        driver: AsyncDriver,
        keyring: Keyring,
        *,
        prefix: str = "",
        clock: Clock = server_clock,
        options: TokenOptions | None = None,
    ) -> None:
        if options is not None:
            check.instance("options", options, TokenOptions)
        options = options or TokenOptions()
        self._driver = check.driver(driver)
        self._clock = clock
        self._issuer = TokenIssuer(keyring, policy_of(options), options.keys, prefix)
        self._view = RevocationCache(options.staleness.total_seconds(), clock)
        self._revoker = Revoker(self._issuer, self._view)
        self._signing = Signing(self._issuer, self._revoker, options.keys, options.first_key)
        self._session_flows = flows.SessionFlows(self._issuer, self._signing, self._revoker, options.on_alarm)
        reader = LogReader(prefix, self._view, self._signing.moved, self._issuer.policy.keep_ms)
        self._tail = Follower(driver, reader, "revocations")
        self.inspector = TokenInspector(driver, self._issuer, self._signing, clock)
        parts = self._issuer, self._view, self._signing, clock, options.away, self._tail.start
        hook, read = driver.hook, self._issuer.read_subscription
        self._guard = WatchedGuard(*parts, hook) if hook is not None else Guard(*parts)
        narrow = WatchedGuard(*parts, hook, read) if hook is not None else Guard(*parts, read)
        self._subscriptions = SubscriptionTokens(self._issuer, self._signing, self._view, narrow)
        told(self, driver.hook)

    async def start(self, *, timeout: timedelta = timedelta(seconds=5)) -> bool:
        """Begin to follow the revocations of other processes, and wait until bounded checks can be answered here.

        Not needed: the first bounded check begins, and until all is known bounded checks are strict. Returns False
        when that took longer than ``timeout``.
        """
        check.duration("timeout", timeout)
        self._tail.start()
        return await self._tail.wait(timeout.total_seconds())

    async def close(self) -> None:
        """Stop following. Idempotent; the front does it."""
        await self._tail.close(4 * BLOCK_S)

    def stats(self) -> Feeding:
        """How well this process knows the revocations of others, for metrics."""
        return self._view.standing()

    @property
    def trouble(self) -> str:
        """One sentence while bounded checks, once begun, cannot be answered here; else ""."""
        if not self._tail.begun or time.monotonic() < self._view.fresh_until:
            return ""
        return (
            "revocations of other processes are not heard: bounded checks ask the server, or follow TokenOptions.away"
        )

    async def login(
        self,
        user_id: Id,
        *,
        client_id: str = "app",
        device: str = "",
        amr: Sequence[str] = (),
        platform: str = "",
        ip: str = "",
        acr: str = "",
        scope: str = "",
        jkt: str = "",
    ) -> LoginResult:
        """Open a new session for a user who was authenticated just now, and issue its first tokens.

        user_id: 1 to 255 characters; it stands in the tokens and the session, so no phone or e-mail. A number, a UUID
        or an enum member counts as its text, here and everywhere. client_id: the
        application, 1 to 64 of ``[A-Za-z0-9._~-]``; only the same one may refresh. device: a label for people, made
        one line of 64 characters. amr: how it was proved, as ("sms",) (RFC 8176). platform, acr, scope: up to 64 plain
        characters. ip: the client's address; only its network is kept. jkt: of a key that was proved just now
        (``prove``); the session's tokens are then good only with fresh proofs of that key.

        Returns TokenPair or TooManySessions. Raises Misuse. Source: lua/login.lua.
        """
        who = ops.session_request(
            user_id,
            client_id,
            device=device,
            amr=amr,
            platform=platform,
            ip=ip,
            acr=acr,
            scope=scope,
            jkt=jkt,
        )
        sid, nonce, secret = secrets.token_urlsafe(16), secrets.token_urlsafe(16), secrets.token_bytes(32)
        return await self._driver.follow(
            self._session_flows.login(who, self._clock(), sid=sid, nonce=nonce, secret=secret)
        )

    def check(self, access: str, *, mode: Mode = "bounded", jkt: str = "") -> Answer[CheckResult]:
        """Decide whether a request with this access token may go on.

        mode: "strict": one round trip; sees every logout and revocation at once, and notes that the session is alive.
        "bounded": none; sees what was revoked at most ``TokenOptions.staleness`` ago, proven for each call, and is
        strict where that cannot be proven. For all but money, PINs and administration. "stateless": none; signature
        and age, so a revoked token may pass until it expires. (Once a minute any check asks which keys are trusted.)
        jkt: of a key that was proved just now (``prove``).

        Returns Access or Rejected; never raises for what a client sent. Raises Unavailable when the server cannot
        be asked: answer 503, not 401, or clients drop good tokens. Source: lua/check.lua.
        """
        step = self._guard.begin(access, mode, jkt)
        if isinstance(step, (Access, Rejected)):
            return now(step)
        return later(self._driver.run(step) if isinstance(step, Op) else self._driver.follow(step))

    async def introspect(self, access: str) -> CheckResult:
        """A strict check for somebody else, who will look at the proof of a bound token's key (``jkt``) themselves."""
        step = self._guard.begin(access, "strict", None)
        if isinstance(step, (Access, Rejected)):
            return step
        return await (self._driver.run(step) if isinstance(step, Op) else self._driver.follow(step))

    async def issue_subscription(
        self, access: Access, channel: str, *, ttl: timedelta = TTL, since: str = ""
    ) -> SubscriptionToken:
        """A token with which this user hears one channel for a while. No round trip as a rule.

        Whoever shows it is not asked about again until it ends: decide before you make one. access: of the user, as
        ``check`` answered it; the token is good for that user and session alone, whatever revokes the access token
        revokes it too, and it never lives longer. channel: its name, as ``orders.name(order_id=42)`` gives it. ttl:
        1 second to 1 hour. since: a position as text, to go on from if the client has none. Raises Misuse.
        """
        return await self._driver.follow(self._subscriptions.issue(access, channel, ttl, since))

    async def check_subscription(self, token: str, channel: str, *, mode: Mode = "bounded") -> SubscriptionResult:
        """Decide whether who shows this subscription token may hear this channel; mode: as for ``check``.

        Returns ChannelAccess, whose ``user_id`` must be the user who asks, or Rejected; never raises for what a client
        sent. Raises Unavailable as ``check`` does. Source: lua/check.lua.
        """
        return await self._driver.follow(self._subscriptions.check(token, channel, mode))

    def now(self) -> datetime:
        """The server's time, as far as it is known here: for comparing with ``Access.authenticated_at``."""
        return datetime.fromtimestamp(self._view.now_ms() / 1000, UTC)

    async def refresh(
        self, refresh_token: str, *, client_id: Id = "app", ip: str = "", jkt: str = "", device: str = ""
    ) -> RefreshResult:
        """Swap a refresh token for its successor and a new access token.

        Safe to repeat and to race: within the grace everyone who shows the same token gets the same successor. A token
        spent longer ago means that two parties hold the session; it ends for both. So it does when another client, or
        another key than it is bound to, shows it. ip, jkt, device: as in ``login``; within the grace ``on_alarm``
        is told when another network or device than the one that spent the token shows it.

        Returns Refreshed or RefreshRefused. Source: lua/refresh.lua.
        """
        nonce, salt = secrets.token_urlsafe(16), secrets.token_bytes(16)
        who = ops.refresher(client_id, jkt, ip, device)
        return await self._driver.follow(
            self._session_flows.refresh(refresh_token, who, self._clock(), nonce=nonce, salt=salt)
        )

    async def prove(self, proof: str, method: str, url: str, *, access: str = "") -> ProofResult:
        """Take a DPoP proof (RFC 9449): who sent it holds a key. Each proof counts once, for a minute.

        proof: the ``DPoP`` header's value. method, url: of the request, as the client sees it; query and fragment do
        not matter. access: the token of a request that shows one; "" for login and refresh.

        Returns Proven, whose ``jkt`` goes to login, check or refresh, or BadProof. Source: lua/prove.lua.
        """
        return await self._driver.follow(flows.prove(self._issuer, proof, method, url, access, self._clock()))

    async def logout(self, access: str, refresh_token: str | None = None) -> LogoutResult:
        """End the session of these tokens at once, and forbid the access token for the rest of its life.

        Either token is enough, expired ones too. May be repeated.

        Returns LoggedOut or LogoutRefused. Works on a server whose memory is full. Source: lua/logout.lua.
        """
        return await self._driver.follow(self._revoker.logout(access, refresh_token, self._clock()))

    async def revoke_token(self, token: str, *, client_id: str = "") -> RevokeResult:
        """Forbid one access token (its session goes on), or end the session of a refresh token.

        client_id: only if it was issued to this one; "" for any. As RFC 7009 wants it.
        Returns Forbidden, RevokedSession, or NotOurs. Source: lua/forbid.lua, lua/revoke.lua.
        """
        return await self._driver.follow(self._revoker.token(token, client_id, self._clock()))

    async def revoke_session(self, user_id: Id, session_id: Id) -> RevokedSession:
        """End one session of a user; ask for a fresh proof of who they are first. Source: lua/revoke.lua."""
        return await self._driver.follow(self._revoker.session(user_id, session_id, self._clock()))

    async def revoke_all(self, user_id: Id, *, except_session: Id | None = None) -> RevokedAll:
        """End all sessions and tokens a user has now, however many; do so when a password, PIN or phone changes, or
        an account is closed.

        except_session: the id of one that lives on, with its tokens. Source: lua/revoke_all.lua.
        """
        return await self._driver.follow(self._revoker.everything(user_id, except_session, self._clock()))

    async def sessions(self, user_id: Id, *, current: Id = "") -> list[SessionInfo]:
        """The user's living sessions, newest first; current: the id of the one that asks. Two round trips.
        Source: lua/sessions.lua."""
        return await self._driver.follow(flows.sessions(self._issuer, user_id, current, self._clock()))

    async def set_data(self, user_id: Id, session_id: Id, values: Mapping[str, str]) -> bool:
        """Replace what the application keeps with a session; it goes when the session does.

        values: at most 32 entries, names to 64 and values to 1024 characters; else Misuse. Not for secrets.
        Returns False when the session is over. Source: lua/set_data.lua.
        """
        return await self._driver.follow(flows.set_data(self._issuer, user_id, session_id, values, self._clock()))

    async def data(self, user_id: Id, session_id: Id) -> dict[str, str] | None:
        """What ``set_data`` stored, {} for nothing, None when the session is over. Source: lua/data.lua."""
        return await self._driver.follow(flows.data(self._issuer, user_id, session_id, self._clock()))

    async def jwks(self) -> dict[str, list[Jwk]]:
        """The public keys as a JWK Set (RFC 7517), for other services that verify access tokens; they may keep it for
        5 minutes. Asks the server once a minute at most. Source: lua/keys.lua."""
        await self._driver.follow(self._signing.current())
        return self._issuer.keys.jwks()

    async def rotate_keys(self) -> list[KeyInfo]:
        """Move the derived signing keys one stage on, where it is time; call it as often as you like, say daily.

        A new key is published for 10 minutes, then signs, and verifies until the last token it signed is dead. The
        first call publishes; after that a successor is always ready. Raises ConfigurationError for keys of your own.
        Source: lua/rotate_keys.lua.
        """
        return await self._driver.follow(self._signing.rotate(self._clock()))

    async def retire_key(self, kid: str) -> list[KeyInfo]:
        """Trust a key that leaked no more: every token it signed is void within a second in processes with bounded
        checks, within a minute in others. If it was the one that signs, the next one does. Source: lua/retire_key.lua.
        """
        return await self._driver.follow(self._signing.retire(kid, self._clock()))
