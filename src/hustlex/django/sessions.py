"""A session engine for Django: ``SESSION_ENGINE = "hustlex.django.sessions"``.

A session lives in one key with the session's own expiry. The key's name is a digest of the cookie, so that a dump of
the server is no list of cookies that work; the content is signed by Django. A session that was ended meanwhile is not
brought back by a request that still runs.
"""

from __future__ import annotations

import hashlib
from typing import Any

from django.contrib.sessions.backends.base import CreateError, SessionBase, UpdateError

from hustlex.core.op import Effect, command
from hustlex.django.views import front


class SessionStore(SessionBase):
    """Django's contract; raises Unavailable while the server is away, since nobody can tell who is logged in."""

    def load(self) -> dict[str, Any]:
        """The content; of a session that is over, an empty new one."""
        kept = self._ask("load", Effect.READ, "GET", self._name()) if self.session_key else None
        if kept is None:
            self._session_key = None
            return {}
        content: dict[str, Any] = self.decode(kept.decode("utf-8", "replace"))
        return content

    def exists(self, session_key: str) -> bool:
        return bool(self._ask("exists", Effect.READ, "EXISTS", _name(session_key)))

    def create(self) -> None:
        """A new session under a key that nobody has."""
        while True:
            self._session_key = self._get_new_session_key()  # type: ignore[attr-defined]
            try:
                self.save(must_create=True)
            except CreateError:
                continue
            self.modified = True
            return

    def save(self, must_create: bool = False) -> None:
        """Raises CreateError when a new key is taken, UpdateError when the session ended meanwhile."""
        if self.session_key is None:
            self.create()
            return
        content = self.encode(self._get_session(no_load=must_create))  # type: ignore[attr-defined]
        life_ms = int(self.get_expiry_age() * 1000)
        if life_ms <= 0:  # it ended in the past, as Django lets one say
            self.delete()
            return
        # A repeat after a lost reply may find its own first try under a new key: never repeated, Django asks again.
        effect, rule = (Effect.ONCE, "NX") if must_create else (Effect.IDEMPOTENT, "XX")
        if self._ask("save", effect, "SET", self._name(), content, "PX", life_ms, rule) is None:
            raise CreateError if must_create else UpdateError

    def delete(self, session_key: str | None = None) -> None:
        ended = session_key or self.session_key
        if ended:
            self._ask("delete", Effect.IDEMPOTENT, "DEL", _name(ended))

    @classmethod
    def clear_expired(cls) -> None:
        """Nothing to do: Redis forgets them by itself."""

    def _name(self) -> str:
        return _name(self.session_key or "")

    def _ask(self, verb: str, effect: Effect, *words: str | int) -> Any:
        op = command(f"django.session_{verb}", effect, *words, keys=(str(words[1]),), decode=lambda reply: reply)
        return front().driver.run(op)


def _name(session_key: str) -> str:
    return f"django-session:{hashlib.sha256(session_key.encode()).hexdigest()}"
