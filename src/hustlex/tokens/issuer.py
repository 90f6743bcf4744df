"""Where tokens are written and read: all cryptography of the room behind one object. No network, no clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from hustlex.core import check
from hustlex.core.check import Id
from hustlex.core.keyring import Keyring
from hustlex.core.op import Op
from hustlex.core.reference import user_reference
from hustlex.tokens import jwt
from hustlex.tokens.jwt import Claims, SubscriptionClaims
from hustlex.tokens.keyset import KeySet
from hustlex.tokens.names import UserKeys, is_random_id
from hustlex.tokens.options import Mode, TokenPolicy
from hustlex.tokens.refresh_token import Chain, RefreshToken
from hustlex.tokens.signature_cache import SignatureCache
from hustlex.tokens.types import Access, CheckResult, Rejection, TokenPair


class SessionClaims(msgspec.Struct, frozen=True):
    """What an access token says of its session. issued_ms: the server's time; never before the last revoke_all."""

    user_id: str
    client_id: str
    issued_ms: int
    ends_ms: int
    auth_ms: int
    amr: tuple[str, ...]
    acr: str = ""
    scope: str = ""
    jkt: str = ""


class Genuine:
    """A token whose signature was good, with all that a check needs of it worked out once.

    from_ms, until_ms: the first moment at which it is good, and is not any more, leeway included. stateless, bounded,
    strict: the answer when it may go on. question: the strict check as an operation, once it was made.
    """

    __slots__ = (
        "auth_s", "bounded", "claims", "from_ms", "ims", "jkt", "jti", "question", "sid", "stateless", "strict",
        "until_ms", "uref",
    )  # fmt: skip

    def __init__(self, claims: Claims, uref: str, leeway_ms: int) -> None:
        self.claims = claims
        self.uref = uref
        self.sid = claims.sid
        self.jti = claims.jti
        self.ims = claims.ims
        self.auth_s = claims.auth_time
        self.jkt = claims.jkt
        # Not its iat: where the server's clock was set back, what was issued a moment ago lies in the future.
        self.from_ms = claims.nbf * 1000 - leeway_ms
        self.until_ms = claims.exp * 1000 + leeway_ms
        self.question: Op[CheckResult] | None = None
        moments = [datetime.fromtimestamp(each, UTC) for each in (claims.iat, claims.exp, claims.auth_time)]
        self.stateless, self.bounded, self.strict = (_access(claims, mode, *moments) for mode in _MODES)


_MODES: tuple[Mode, ...] = ("stateless", "bounded", "strict")


class TokenIssuer:
    """Bound to one policy, one keyring and one prefix."""

    def __init__(self, keyring: Keyring, policy: TokenPolicy, keys: KeySet | None, prefix: str) -> None:
        self.policy = policy
        self.prefix = prefix
        self.chain = Chain(keyring)
        self.keys = keys or KeySet.derived(keyring)
        self.keyring = keyring
        self._forget()

    def _forget(self) -> None:
        """Of each kind of token for itself: what counts as one never counts as the other."""
        self._memory: SignatureCache[Genuine] = SignatureCache()
        self._subscriptions: SignatureCache[Genuine] = SignatureCache()

    def trust(self, keys: KeySet) -> None:
        """From now on these keys sign and verify. What others vouched for is looked at again; a thread that is
        verifying by the old keys right now puts what it finds into the old memory."""
        self.keys = keys
        self._forget()

    def uref(self, user_id: Id) -> str:
        """The user as in key names. Raises Misuse."""
        return user_reference(user_id, self.keyring)

    def names(self, uref: str) -> UserKeys:
        """The user's keys."""
        return UserKeys(self.prefix, uref)

    def pair(self, standing: SessionClaims, token: RefreshToken, nonce: str) -> TokenPair:
        """Sign what a client is given. nonce: 22 random characters for the jti; they choose the jitter too."""
        early_ms = hash_share(nonce, self.policy.jitter_ms)
        # Rounded up, so that no token is dead on arrival; an access token never outlives its session.
        exp = -(-min(standing.issued_ms + self.policy.access_ms - early_ms, standing.ends_ms) // 1000)
        claims = Claims(
            iss=self.policy.issuer,
            sub=standing.user_id,
            aud=self.policy.audience,
            exp=exp,
            iat=standing.issued_ms // 1000,
            jti=f"{{{token.uref}}}.{nonce}",
            client_id=standing.client_id,
            sid=token.sid,
            ims=standing.issued_ms,
            auth_time=standing.auth_ms // 1000,
            amr=standing.amr,
            acr=standing.acr,
            scope=standing.scope,
            cnf={"jkt": standing.jkt} if standing.jkt else {},
        )
        return TokenPair(
            jwt.write(claims, self.keys.signing),
            self.chain.write(token),
            timedelta(milliseconds=exp * 1000 - claims.ims),
            token.sid,
            timedelta(milliseconds=max(0, standing.ends_ms - claims.ims)),
            standing.jkt,
        )

    def read(self, access: str) -> Genuine | Rejection:
        """A genuine token, whatever its age, or why it is none."""
        try:
            known = self._memory.get(access)
        except AttributeError:  # no text; on the way of every check this costs nothing
            check.instance("access", access, str)
            raise
        return known if known is not None else self._read(access, self._memory, Claims)

    def read_subscription(self, token: str) -> Genuine | Rejection:
        """A genuine subscription token, whatever its age, or why it is none."""
        known = self._subscriptions.get(check.typed("token", token))
        return known if known is not None else self._read(token, self._subscriptions, SubscriptionClaims)

    def _read(self, text: str, memory: SignatureCache[Genuine], kind: type[Claims]) -> Genuine | Rejection:
        """memory: the one from before the keys are looked at, see trust."""
        policy = self.policy
        life_s = -(-policy.access_ms // 1000)
        claims = jwt.read(
            text, self.keys, issuer=policy.issuer, audience=policy.audience, longest_life_s=life_s, kind=kind
        )
        if isinstance(claims, Rejection):
            return claims
        uref = self._one_user(claims)
        if uref is None:
            return Rejection.MALFORMED
        known = Genuine(claims, uref, policy.leeway_ms)
        memory.put(text, known)
        return known

    def _one_user(self, claims: Claims) -> str | None:
        """The reference of the one user whose keys sub, jti and sid lead to."""
        tag, _, nonce = claims.jti.rpartition(".")
        try:
            uref = self.uref(claims.sub)
        except ValueError:
            return None
        return uref if tag == f"{{{uref}}}" and is_random_id(claims.sid) and is_random_id(nonce) else None


def hash_share(nonce: str, most: int) -> int:
    """0 to ``most``, chosen by a random text."""
    return int.from_bytes(nonce[:8].encode(), "big") % (most + 1)


def _access(claims: Claims, mode: Mode, issued: datetime, expires: datetime, authenticated: datetime) -> Access:
    return Access(
        user_id=claims.sub,
        session_id=claims.sid,
        client_id=claims.client_id,
        jti=claims.jti,
        issued_at=issued,
        issued_ms=claims.ims,
        expires_at=expires,
        authenticated_at=authenticated,
        amr=claims.amr,
        acr=claims.acr,
        scope=claims.scope,
        jkt=claims.jkt,
        mode=mode,
    )
