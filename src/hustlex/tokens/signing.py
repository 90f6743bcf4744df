"""Which keys sign and verify, as Redis last said; and how they are moved from stage to stage.

Redis holds generations and stages only. The keys are derived here from the secret, or were configured.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime

from hustlex.core import check
from hustlex.core.keyring import Keyring
from hustlex.core.lua import load
from hustlex.core.op import Flow, Op, Reply, do
from hustlex.errors import ConfigurationError
from hustlex.tokens.issuer import TokenIssuer
from hustlex.tokens.keyset import Key, KeySet
from hustlex.tokens.revocation_cache import RevocationEntry
from hustlex.tokens.revoker import Revoker
from hustlex.tokens.types import KeyInfo

MAX_AGE_S = 300
"""How long others may keep the JWK Set."""

_KEYS = load("hustlex.tokens", "keys")
_ROTATE = load("hustlex.tokens", "rotate_keys")
_RETIRE = load("hustlex.tokens", "retire_key")

_MAX_AGE_MS = MAX_AGE_S * 1000
_PUBLISHED_MS = 2 * _MAX_AGE_MS
_LIFE_MS = 400 * 86_400_000
_ASK_EVERY_S = 60.0
_RETRY_S = 5.0
_ALWAYS = -float("inf")

State = dict[str, tuple[str, int]]
"""Stage and since when, by generation, or by "x" and what is trusted no more: a configured key or an old secret."""


class Signing:
    """due_at: from this moment (steady clock) on, Redis is to be asked again before a key is used."""

    def __init__(self, issuer: TokenIssuer, revoker: Revoker, configured: KeySet | None, first: int) -> None:
        self._issuer = issuer
        self._revoker = revoker
        self._configured = configured
        self._first = first
        self._key = f"{issuer.prefix}jwt:keys"
        self._state: State = {}
        self._made: dict[tuple[str, int], Key] = {}
        self._asked_at = _ALWAYS
        self.due_at = _ALWAYS
        if configured is None:
            self._trust({})

    # -- asking

    def current(self) -> Flow[None]:
        """Ask Redis when it is time."""
        if time.monotonic() >= self.due_at:
            yield from self.read()

    def read(self) -> Flow[None]:
        """Ask Redis. One caller at a time, but for the first time and when a key was moved: then nobody goes ahead."""
        if self.due_at > _ALWAYS:
            self.due_at = time.monotonic() + _RETRY_S
        known = [text for name, (stage, since) in self._state.items() for text in (name, f"{stage} {since}")]
        self._take((yield from do(_KEYS.op((self._key,), (_LIFE_MS, *known), _state))))

    def may_ask(self, moment: float) -> bool:
        """Whether a token of an unknown key may make us ask: once a minute."""
        return moment >= self._asked_at + _ASK_EVERY_S

    def asked(self) -> None:
        """Redis was asked just now, with or without an answer."""
        self._asked_at = time.monotonic()
        self.due_at = max(self.due_at, self._asked_at + _RETRY_S)

    def moved(self) -> None:
        """Another process moved a key: ask before the next use."""
        self.due_at = _ALWAYS

    # -- moving

    def rotate(self, now_ms: int) -> Flow[list[KeyInfo]]:
        """Move every key whose time has come."""
        if self._configured is not None:
            raise ConfigurationError(
                "these signing keys are configured, so their stages are too",
                hint="publish the next one with KeySet.from_pem(..., verify_only=[...]), then swap the two",
            )
        policy = self._issuer.policy
        args = (now_ms, self._newest_active(), _PUBLISHED_MS, policy.keep_ms + _MAX_AGE_MS, _LIFE_MS)
        yield from self._moving(_ROTATE.op((self._key,), args, _state), "", now_ms)
        return self.infos()

    def retire(self, kid: str, now_ms: int) -> Flow[list[KeyInfo]]:
        """Trust a key no more. An unknown one of the configured kind may be named too: it is shut out ahead of time."""
        kid = check.identity("kid", kid)
        name = f"x{kid}" if self._configured is not None else self._name(kid)
        if name is not None:
            args = (now_ms, name, self._newest_active(), _LIFE_MS)
            yield from self._moving(_RETIRE.op((self._key,), args, _state), kid, now_ms)
        return self.infos()

    def _moving(self, op: Op[State], kid: str, now_ms: int) -> Flow[None]:
        self._take((yield from do(op)))
        yield from self._revoker.announce([RevocationEntry("key", kid, 0)], now_ms)

    def _name(self, kid: str) -> str | None:
        """What stands for a key in Redis: its generation; of an old secret's key that secret, with all its keys, as who
        can derive one can derive those to come."""
        for gen in self._known():
            if self._derived(gen).kid == kid:
                return str(gen)
            for old in self._issuer.keyring.old:
                if self._derived(gen, old).kid == kid:
                    return f"x{old.kid}"
        return None

    # -- what Redis said

    def _take(self, state: State) -> None:
        """An empty state is where everything begins, never where it goes back to."""
        self._asked_at = time.monotonic()
        self.due_at = self._asked_at + _ASK_EVERY_S
        if state and state != self._state:
            self._trust(state)

    def _trust(self, state: State) -> None:
        self._state = state
        if self._configured is not None:
            keys = self._configured.without({name[1:] for name in state if name.startswith("x")})
        else:
            keys = self._derived_keys()
        self._issuer.trust(keys)

    def _derived_keys(self) -> KeySet:
        """Old secrets' keys verify in the same generations; none of a secret that was shut out."""
        keyring, active = self._issuer.keyring, self._newest_active()
        if self._is_out(keyring):
            return KeySet(None, self._others())
        own = [self._derived(gen) for gen in self._known() if gen != active]
        return KeySet(self._derived(active), [*self._others(), *own])

    def _others(self) -> list[Key]:
        """The keys of old secrets."""
        trusted = [old for old in self._issuer.keyring.old if not self._is_out(old)]
        return [self._derived(gen, old) for old in trusted for gen in self._known()]

    def _is_out(self, keyring: Keyring) -> bool:
        return f"x{keyring.kid}" in self._state

    def _known(self) -> list[int]:
        """Trusted generations, the newest last."""
        return sorted(int(name) for name in self._state if name.isdecimal()) or [self._first]

    def _newest_active(self) -> int:
        return max((int(gen) for gen, (stage, _) in self._state.items() if stage == "active"), default=self._first)

    def _derived(self, gen: int, keyring: Keyring | None = None) -> Key:
        keyring = keyring or self._issuer.keyring
        made = keyring.kid, gen
        if made not in self._made:
            self._made[made] = KeySet.derive(keyring, gen)
        return self._made[made]

    def infos(self) -> list[KeyInfo]:
        """Every trusted key and its stage; configured ones that do not sign, and old secrets', are called published."""
        if self._configured is not None:
            keys = self._issuer.keys
            return [
                KeyInfo(key.kid, key.alg, "active" if key is keys.signing else "published", None)
                for key in keys.trusted()
            ]
        found = [KeyInfo(key.kid, key.alg, "published", None) for key in self._others()]
        for gen in self._known():
            stage, since_ms = self._state.get(str(gen), ("active", 0))
            key = self._derived(gen)
            since = datetime.fromtimestamp(since_ms / 1000, UTC) if since_ms else None
            found.append(KeyInfo(key.kid, key.alg, stage, since))
        return found


def _state(reply: Reply) -> State:
    flat: Sequence[str] = [text.decode() for text in reply[1]]
    return {name: _stage(text) for name, text in zip(flat[::2], flat[1::2], strict=True)}


def _stage(text: str) -> tuple[str, int]:
    stage, _, since = text.partition(" ")
    return stage, int(since)
