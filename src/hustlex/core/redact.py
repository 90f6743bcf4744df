"""Every value that somebody else wrote passes here before it is shown: on pages, terminals, in JSON and the audit."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Literal

import msgspec

HIDDEN = "‹hidden›"
FAILED = "‹formatter failed›"
_LONGEST_KEY = 64

_SECRET_NAMES = re.compile(
    r"(?i)(^|[_\-.\s])(pass(word|wd|phrase)?|pwd|secret|token|jwt|pin|otp|code|authorization|auth|cookie|session"
    r"|api[_-]?key|private[_-]?key|card|pan|cardnumber|cvv2?|cvc|bvn|nin|nuban|account(_?(no|number))?|iban|ssn)($|[_\-.\s])"
)
_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_JWT = re.compile(r"\beyJ[\w-]{5,}\.[\w-]+\.?[\w-]*")
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{6,}")
_URL_ACCOUNT = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://)[^\s/@]*:[^\s/@]*@")
_EMAIL = re.compile(r"\b([\w.+%-])[\w.+%-]*@([\w-])[\w.-]*(\.[A-Za-z]{2,})\b")
_PHONE = re.compile(r"(?<![\w.+-])(\+\d{7,15}|0[789][01]\d{8})(?![\w-])")
_CARD = re.compile(r"(?<![\w.-])\d(?:[ -]?\d){12,18}(?![\w-])")
_NUMBER = re.compile(r"(?<![\w.-])\d{10,11}(?![\w.-])")


class What(msgspec.Struct, frozen=True):
    """A value that is about to be shown."""

    kind: Literal["payload", "result", "header", "error", "log", "progress", "group", "name", "user", "audit"]
    value: Any
    """Parsed: what JSON holds, or text."""
    task_type: str = ""


class Redacted(msgspec.Struct, frozen=True):
    """What is shown instead. hidden: whether anything was taken out."""

    value: Any
    hidden: bool = False


Formatter = Callable[[What], Redacted]
"""Must not raise; what raises shows nothing."""


class Redactor:
    """The formatter by default: what looks like a secret by its name or its shape, a phone or an address is taken out.

    Call it, or extend it: ``lambda what: mine(what) or redactor(what)``.
    """

    def __call__(self, what: What) -> Redacted:
        """What may be shown of a value."""
        value = _clean(what.value)
        return Redacted(value, value != what.value)


def shown(formatter: Formatter, what: What) -> Redacted:
    """Ask a formatter; one that fails shows nothing."""
    try:
        found: object = formatter(what)
        return found if isinstance(found, Redacted) else Redacted(FAILED, hidden=True)
    except Exception:  # noqa: BLE001 - whatever a user's function raises
        return Redacted(FAILED, hidden=True)


def secret_name(name: str) -> bool:
    """Whether what stands under this name is hidden whatever it is."""
    return bool(_SECRET_NAMES.search(_WORDS.sub("_", name[:_LONGEST_KEY])))


def _clean(value: Any, name: str = "") -> Any:
    if name and secret_name(name) and value not in (None, "", [], {}) and not isinstance(value, bool):
        return HIDDEN
    if isinstance(value, dict):
        return {_text(str(key)): _clean(each, str(key)) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(each) for each in value]
    if isinstance(value, str):
        return _nested(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**9:
        masked = _text(str(value))
        return value if masked == str(value) else masked
    return value


def _nested(text: str) -> str:
    """Text, or JSON inside text: one level deep."""
    if text[:1] in "{[" and text[-1:] in "}]":
        try:
            inner = json.loads(text)
        except ValueError:
            return _text(text)
        cleaned = _clean(inner)
        return text if cleaned == inner else json.dumps(cleaned, ensure_ascii=False)
    return _text(text)


def _text(text: str) -> str:
    """By shape alone."""
    text = _JWT.sub(HIDDEN, text)
    text = _BEARER.sub(lambda found: f"{found[1]} {HIDDEN}", text)
    text = _URL_ACCOUNT.sub(rf"\1{HIDDEN}@", text)
    text = _EMAIL.sub(r"\1•••@\2•••\3", text)
    text = _PHONE.sub(_masked_phone, text)
    text = _CARD.sub(lambda found: HIDDEN if _luhn(found[0]) else found[0], text)
    return _NUMBER.sub(HIDDEN, text)


def _masked_phone(found: re.Match[str]) -> str:
    """Country, and the first two and last two digits."""
    number = found[0]
    head = number[:6] if number[0] == "+" else number[:3]
    return f"{head}•••••{number[-2:]}"


def _luhn(text: str) -> bool:
    digits = [int(letter) for letter in text if letter.isdigit()]
    total = sum(digits[-1::-2]) + sum(sum(divmod(2 * digit, 10)) for digit in digits[-2::-2])
    return total % 10 == 0
