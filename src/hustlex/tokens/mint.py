"""Where tokens are written and read: all cryptography of the room behind one object. No network, no clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from hustlex.core.keyring import Keyring
from hustlex.core.reference import user_reference
from hustlex.tokens import jwt
from hustlex.tokens.jwt import Claims
from hustlex.tokens.keyset import KeySet
from hustlex.tokens.memory import Memory
from hustlex.tokens.names import Keys, is_random_id
from hustlex.tokens.policy import Policy
from hustlex.tokens.refresh_token import Chain, RefreshToken
from hustlex.tokens.types import Access, Rejection, TokenPair


class Standing(msgspec.Struct, frozen=True):
    """What an access token says of its session. issued_ms: the server's time; never before the last revoke_all."""

    user_id: str
    client_id: str
    issued_ms: int
    ends_ms: int
    auth_ms: int
    amr: tuple[str, ...]


class Mint:
    """Bound to one policy, one keyring and one prefix."""

    def __init__(self, keyring: Keyring, policy: Policy, keys: KeySet | None, prefix: str) -> None:
        self.policy = policy
        self.keys = keys or KeySet.derived(keyring)
        self.chain = Chain(keyring)
        self._keyring = keyring
        self._prefix = prefix
        self._memory = Memory()

    def uref(self, user_id: str) -> str:
        """The user as in key names. Raises Misuse."""
        return user_reference(user_id, self._keyring)

    def names(self, uref: str) -> Keys:
        """The user's keys."""
        return Keys(self._prefix, uref)

    def pair(self, standing: Standing, token: RefreshToken, nonce: str) -> TokenPair:
        """Sign what a client is given. nonce: 22 random characters for the jti."""
        # Rounded up, so that no token is dead on arrival; an access token never outlives its session.
        exp = -(-min(standing.issued_ms + self.policy.access_ms, standing.ends_ms) // 1000)
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
        )
        access = jwt.write(claims, self.keys.signing)
        return TokenPair(access, self.chain.write(token), timedelta(milliseconds=exp * 1000 - claims.ims), token.sid)

    def read(self, access: str) -> Claims | Rejection:
        """The claims of a genuine token, whatever its age."""
        known = self._memory.get(access)
        if known is not None:
            return known
        life_s = -(-self.policy.access_ms // 1000)
        claims = jwt.read(
            access, self.keys, issuer=self.policy.issuer, audience=self.policy.audience, longest_life_s=life_s
        )
        if isinstance(claims, Rejection):
            return claims
        if not self._names_one_user(claims):
            return Rejection.MALFORMED
        self._memory.put(access, claims)
        return claims

    def _names_one_user(self, claims: Claims) -> bool:
        """sub, jti and sid lead to the keys of one user."""
        tag, _, nonce = claims.jti.rpartition(".")
        try:
            return tag == f"{{{self.uref(claims.sub)}}}" and is_random_id(claims.sid) and is_random_id(nonce)
        except ValueError:
            return False

    def from_ms(self, claims: Claims) -> int:
        """The first moment at which a token is good, leeway included."""
        return claims.iat * 1000 - self.policy.leeway_ms

    def until_ms(self, claims: Claims) -> int:
        """The first moment at which a token is not good any more, leeway included."""
        return claims.exp * 1000 + self.policy.leeway_ms

    def untimely(self, claims: Claims, now_ms: int) -> Rejection | None:
        """Whether a token is too old, or too new, at this moment."""
        if self.until_ms(claims) <= now_ms:
            return Rejection.EXPIRED
        return Rejection.NOT_YET_VALID if self.from_ms(claims) > now_ms else None


def access_of(claims: Claims) -> Access:
    """Claims as the room's answer."""
    return Access(
        user_id=claims.sub,
        session_id=claims.sid,
        client_id=claims.client_id,
        jti=claims.jti,
        issued_at=datetime.fromtimestamp(claims.iat, UTC),
        expires_at=datetime.fromtimestamp(claims.exp, UTC),
        amr=claims.amr,
    )
