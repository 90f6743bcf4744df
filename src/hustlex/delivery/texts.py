"""What a message says: who sends it, the code, what it is for, how long it is good, and how to tell it from others."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from string import Formatter
from types import MappingProxyType

import msgspec

from hustlex.core import check
from hustlex.core.bounds import options
from hustlex.delivery.senders import Message
from hustlex.errors import Misuse
from hustlex.otp import Delivery

_WARNING = "We never ask for it."
_LINES: Mapping[str, str] = MappingProxyType(
    {
        "login": "{app}: {code} is your code to log in (ref {ref}). Good for {minutes} min. " + _WARNING,
        "register": "{app}: {code} is your code to sign up (ref {ref}). Good for {minutes} min. " + _WARNING,
        "pin_reset": "{app}: {code} is your code to change your PIN (ref {ref}). Good for {minutes} min. " + _WARNING,
        "transaction": "{app}: {code} approves {about} (ref {ref}). Good for {minutes} min. " + _WARNING,
    }
)
_OTHER = "{app}: {code} is your code (ref {ref}). Good for {minutes} min. " + _WARNING
_NAMES = frozenset({"app", "code", "ref", "minutes", "about"})


class Texts(msgspec.Struct, frozen=True, kw_only=True):
    """The messages of an application. Raises ConfigurationError for a line without {code} or {ref}."""

    app: str
    """The application's name, first word of each message."""
    lines: Mapping[str, str] = msgspec.field(default_factory=dict)
    """Texts for purposes that need other words than the standard ones, with {app}, {code}, {ref},
    {minutes} and {about}."""
    domain: str = ""
    """Adds a last line ``@domain #code``, by which phones offer the code on that site alone, so that it cannot be
    filled in on a copy of it."""
    retriever: str = ""
    """The 11 characters by which Android hands the message to the application; neither stands in an e-mail."""
    subject: str = "{app}: your code (ref {ref})"
    """The subject line of an e-mail, with {app} and {ref}."""

    def __post_init__(self) -> None:
        with options():
            check.text("app", self.app)
            check.text("domain", self.domain, blank=True)
            check.text("retriever", self.retriever, blank=True)
            check.instance("lines", self.lines, Mapping)
            for purpose, line in self.lines.items():
                check.text("a purpose in lines", purpose)
                if not {"code", "ref"} <= _names("a text in lines", line) <= _NAMES:
                    raise Misuse(
                        "each text in lines must hold {code} and {ref}, and only known names",
                        hint="known: " + ", ".join(sorted(_NAMES)),
                    )
            if not _names("subject", self.subject) <= {"app", "ref"}:
                raise Misuse("subject may hold {app} and {ref}, and never the code")

    def message(self, delivery: Delivery) -> Message:
        """All of it, for a sender."""
        check.instance("delivery", delivery, Delivery)
        subject = self.subject.format(app=self.app, ref=delivery.ref) if delivery.email else ""
        return Message(delivery.phone or delivery.email, self.text(delivery), delivery.key, subject)

    def text(self, delivery: Delivery) -> str:
        """The message for one delivery."""
        check.instance("delivery", delivery, Delivery)
        line = self.lines.get(delivery.purpose) or _LINES.get(delivery.purpose, _OTHER)
        minutes = max(1, round(delivery.expires_in / timedelta(minutes=1)))
        first = line.format(
            app=self.app,
            code=delivery.code,
            ref=delivery.ref,
            minutes=minutes,
            about=delivery.about or "what you asked for",
        )
        if delivery.email:
            return first
        bound = f"@{self.domain} #{delivery.code}" if self.domain else ""
        return "\n".join(part for part in (first, self.retriever, bound) if part)


def _names(what: str, line: object) -> set[str]:
    """The names in a text's braces."""
    try:
        return {name for _, name, _, _ in Formatter().parse(check.text(what, line, longest=1_000)) if name is not None}
    except ValueError:
        raise Misuse(f"{what} has a brace without its partner", hint="write {{ or }} for a brace") from None
