"""E-mail addresses as typed. What is one mailbox stays one, and two never become one: the part before the @ is its
provider's business, so only the domain is written in small letters.
"""

from __future__ import annotations

import re
import unicodedata
from typing import NoReturn

import msgspec

from hustlex.core import check
from hustlex.otp.rules import Mailboxes
from hustlex.otp.types import DestinationBlocked, InvalidEmail

_LONGEST = 254
_LONGEST_LOCAL = 64
_SIGNS = frozenset("!#$%&'*+-/=?^_`{|}~.")
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_OPTION = "OtpOptions.mailboxes.domains"


class Email(msgspec.Struct, frozen=True, eq=False):
    """A destination beside phones: ``hx.otp.issue(Email("ada@example.com"))``. address: as typed; never shown."""

    address: str

    def __post_init__(self) -> None:
        check.typed("address", self.address)

    def __repr__(self) -> str:
        return "Email(address='...')"

    def __rich_repr__(self) -> list[tuple[str, str]]:
        return [("address", "...")]

    def __reduce__(self) -> NoReturn:
        raise TypeError("Email holds an address and cannot be pickled or copied")


class Mailbox(msgspec.Struct, frozen=True):
    """number: the address, its domain in small letters; what a code for it is bound to, as a phone's number is."""

    number: str
    country: str = ""
    known: bool = True

    @property
    def domain(self) -> str:
        return self.number.rpartition("@")[2]

    def stem(self) -> str:
        """What its usual other spellings have in common: capitals, dots and what follows a plus. For counting alone."""
        local, _, domain = self.number.rpartition("@")
        plain = unicodedata.normalize("NFKC", local).casefold().partition("+")[0].replace(".", "")
        return f"{plain or local}@{domain}"


def read(email: Email, served: Mailboxes) -> Mailbox | InvalidEmail | DestinationBlocked:
    """An address as typed, or why it gets no code."""
    local, at, domain = email.address.strip().rpartition("@")
    domain = domain.lower()
    if not at or not _is_local(local) or not _is_domain(domain) or len(local) + len(domain) >= _LONGEST:
        return InvalidEmail()
    if served.domains is not None and domain not in served.domains:
        return DestinationBlocked(option=_OPTION)
    return Mailbox(f"{local}@{domain}")


def _is_local(text: str) -> bool:
    """A dot-atom (RFC 5322), also of other scripts (RFC 6531); nothing that could end a header or an address."""
    if not text or not text.isprintable() or len(text.encode("utf-8", "surrogatepass")) > _LONGEST_LOCAL:
        return False
    if text.startswith(".") or text.endswith(".") or ".." in text:
        return False
    return all(sign.isalnum() or sign in _SIGNS or (sign > "\x7f" and not sign.isspace()) for sign in text)


def _is_domain(text: str) -> bool:
    """A host's name in ASCII, with a dot; its last label is no number. Other scripts: in their xn-- form."""
    labels = text.split(".")
    named = len(labels) > 1 and all(map(_LABEL.fullmatch, labels))
    return named and len(text) <= 253 and not labels[-1].isdigit()
