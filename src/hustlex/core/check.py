"""What callers pass: each kind of value is judged here, in one sentence that says what it was and what to pass.

Every function takes the name of the argument or option first, and gives the value back, plain, or raises Misuse.
Messages show numbers and times; of a text they show its kind alone, since it may be a phone number or a secret.
"""

from __future__ import annotations

import enum
import inspect
import itertools
import math
import re
import uuid
from collections.abc import Callable, Collection, Iterable
from datetime import datetime, timedelta
from typing import Any, NoReturn, TypeVar

from hustlex.errors import Misuse

Id = str | int | uuid.UUID | enum.Enum
"""What may name a user or a thing: text, a whole number, a UUID, or an enum member whose value is one of them."""

LONGEST_ID = 255
LONGEST_DURATION = timedelta(days=36_525)
"""A hundred years: longer ones are mistakes, and overflow on their way."""

_SHOWN = (bool, int, float, timedelta, datetime, type(None))
_LONGEST_SHOWN = 60
_NOTHING = timedelta(0)
_MAKE_ONE = "make one with: python -c 'import secrets; print(secrets.token_hex(32))'"
_FEWEST_CHARACTERS = 8
_LONG = 16
"""From so many characters on, a repeated pattern with a character or two more is one: chance makes one in 10^8."""
_TEMPLATE = re.compile(rb"\$\{|\$\(|\{\{|\{%|^%\w+%$|^<.*>$")
_PLACEHOLDERS = (
    b"changeme", b"changethis", b"changeit", b"replaceme", b"replacethis", b"replacewith", b"placeholder",
    b"yoursecret", b"secretkey", b"secrethere", b"putyour", b"insertyour", b"insertsecret", b"yourkeyhere",
    b"supersecret", b"topsecret", b"notsosecret", b"donotuse", b"dontuse", b"password", b"insecure",
    b"defaultsecret", b"developmentonly", b"example", b"fixmefixme", b"todotodo", b"realsecret",
    b"qwertyui", b"asdfghjk", b"zxcvbnm",
)  # fmt: skip
"""Letters of what stands where a secret should; a random one of 64 characters holds one of them by chance in 10^8."""
_NO_YEAR = 9000
_READABLE = re.compile(r"[!-~]{1,255}")
"""What nearly every id is; taking it as it is costs a third of looking at each character."""

D = TypeVar("D")


def identity(name: str, value: object, *, longest: int = LONGEST_ID) -> str:
    """An id as plain text, the same for equal ids: ``7`` and ``"7"``, an enum member and its value.

    Raises Misuse for None, booleans, bytes and containers, and for text that is empty, over ``longest`` characters, not
    Unicode or holds control characters.
    """
    if type(value) is str and _READABLE.fullmatch(value):
        return value
    plain: object = value.value if isinstance(value, enum.Enum) else value
    if isinstance(plain, str | uuid.UUID):
        return text(name, (str if isinstance(plain, str) else uuid.UUID).__str__(plain), longest=longest)
    if isinstance(plain, int) and not isinstance(plain, bool):
        return str(whole(name, plain, -(2**63), 2**64))
    return _refuse(name, value, "pass text, a whole number, a UUID or an enum member of those")


def text(name: str, value: object, *, longest: int = LONGEST_ID, blank: bool = False) -> str:
    """Text of 1 to ``longest`` characters without control characters. blank: whether none, or only blanks, will do."""
    if not isinstance(value, str):
        _refuse(name, value, "pass text")
    plain = str.__str__(value)
    if len(plain) > longest:
        raise Misuse(f"{name} has {len(plain)} characters", hint=f"pass at most {longest}")
    if not blank and not plain.strip():
        raise Misuse(f"{name} is {'blank' if plain else 'empty'}", hint="pass text that is not blank")
    if plain.isascii() and plain.isprintable():
        return plain
    for character in plain:
        if character < " " or "\x7f" <= character <= "\x9f" or character in "\u2028\u2029":
            raise Misuse(f"{name} holds the control character U+{ord(character):04X}", hint="leave it out")
        if "\ud800" <= character <= "\udfff":
            raise Misuse(f"{name} holds half a character (U+{ord(character):04X})", hint="pass valid Unicode text")
    return plain


def unicode(name: str, value: str, *, longest: int) -> str:
    """Any valid Unicode text, line breaks and control characters included."""
    plain = str.__str__(value)
    if len(plain) > longest:
        raise Misuse(f"{name} has {len(plain)} characters", hint=f"pass at most {longest}")
    for character in plain if not plain.isascii() else "":
        if "\ud800" <= character <= "\udfff":
            raise Misuse(f"{name} holds half a character (U+{ord(character):04X})", hint="pass valid Unicode text")
    return plain


def typed(name: str, value: object) -> str:
    """Text as somebody typed it, or a secret: any, of any length. Of what is none a message tells the class alone."""
    if not isinstance(value, str):
        raise Misuse(f"{name} cannot be {_article(type(value).__name__)}", hint="pass text")
    return str.__str__(value)


def whole(name: str, value: object, low: int = 0, high: int = 2**53) -> int:
    """A whole number from ``low`` to ``high``. Neither a boolean nor a fraction is one, nor text of digits."""
    if isinstance(value, bool) or not isinstance(value, int):
        _refuse(name, value, f"pass a whole number, {low} to {high}")
    if not low <= value <= high:
        _refuse(name, value, f"pass {low} to {high}")
    return int(value)


def number(name: str, value: object, low: float = 0.0, high: float = math.inf) -> float:
    """A finite number from ``low`` to ``high``, whole or not."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        _refuse(name, value, "pass a number")
    if not (low <= value <= high) or value == math.inf:
        _refuse(name, value, f"pass {low:g} to {high:g}" if math.isfinite(high) else f"pass a finite {low:g} or more")
    return value


def duration(name: str, value: object, low: timedelta = _NOTHING, high: timedelta = LONGEST_DURATION) -> timedelta:
    """A timedelta from ``low`` to ``high``; seconds as a number are refused, because nobody can tell their unit."""
    if not isinstance(value, timedelta):
        _refuse(name, value, "pass a timedelta, as timedelta(seconds=30)")
    if not low <= value <= high:
        _refuse(name, value, f"pass {low} to {high}")
    return value


def moment(name: str, value: object) -> datetime:
    """A datetime with a time zone, before the year 9000: one of the last day that can be written overflows."""
    if not isinstance(value, datetime):
        _refuse(name, value, "pass an aware datetime, as datetime.now(UTC)")
    if value.utcoffset() is None:
        _refuse(name, value, "give it a time zone, as datetime.now(UTC)")
    if value.year >= _NO_YEAR:
        _refuse(name, value, f"pass a moment before the year {_NO_YEAR}")
    return value


def flag(name: str, value: object) -> bool:
    """True or False, nothing that only counts as such."""
    if not isinstance(value, bool):
        _refuse(name, value, "pass True or False")
    return value


def one_of(name: str, value: object, known: Collection[str]) -> str:
    """One of these words."""
    if not isinstance(value, str) or value not in known:
        _refuse(name, value, f"pass one of {', '.join(sorted(known))}")
    return str.__str__(value)


def secret(name: str, value: object, shortest: int = 1) -> bytes:
    """What only its owner knows, as bytes, ``shortest`` of them or more; one that anybody would guess is refused.

    It is never shown. Refused are blanks, a pattern that repeats (zeros above all), text that counts up or down, and
    words that stand in for a secret, as ``change-me``.
    """
    if not isinstance(value, str | bytes | bytearray):
        _refuse(name, value, "pass bytes or text")
    raw = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else bytes(value)
    if len(raw) < shortest:
        raise Misuse(f"{name} must have at least {shortest} bytes, not {len(raw)}", hint=_MAKE_ONE)
    if why := _guessable(raw):
        raise Misuse(f"{name} {why}", hint=_MAKE_ONE)
    return raw


def _guessable(raw: bytes) -> str:
    if not raw.strip():
        return "is blank"
    if any(_repeats(text) for text in ((raw, raw[:-1], raw[1:], raw[:-2]) if len(raw) >= _LONG else (raw,))):
        return "repeats one pattern"
    if raw.isascii() and _TEMPLATE.search(raw):
        return "is a template that nothing has filled in"
    steps = [after - before for before, after in itertools.pairwise(raw)]
    if raw.isalnum() and len(raw) > 3 and max(map(steps.count, (1, -1))) > len(steps) / 2:
        return "counts up or down"
    if len(raw) >= 4 * _FEWEST_CHARACTERS and len(set(raw)) < _FEWEST_CHARACTERS:
        return f"has only {len(set(raw))} different characters"
    letters = re.sub(rb"[^a-z]", b"", raw.lower())
    return "is a placeholder" if any(word in letters for word in _PLACEHOLDERS) else ""


def _repeats(raw: bytes) -> bool:
    periods = range(1, min(len(raw) // 2, 64) + 1)
    return len(raw) > 3 and any(raw[period:] == raw[:-period] for period in periods)


def function(name: str, value: object) -> Callable[..., Any]:
    """Something that can be called, and serves: a class, or a generator function, is refused."""
    if not callable(value) or inspect.isclass(value):
        _refuse(name, value, "pass a function")
    if inspect.isgeneratorfunction(value) or inspect.isasyncgenfunction(value):
        raise Misuse(f"{name} is a generator function", hint="pass a function that returns its result")
    return value


def instance(name: str, value: object, *kinds: type, hint: str = "") -> None:
    """A value of one of these classes; hint: what to pass, where their names do not say it."""
    if not isinstance(value, kinds):
        _refuse(name, value, hint or f"pass {' or '.join(f'{_article(kind.__name__)}' for kind in kinds)}")


def protocol(name: str, value: object, *parts: str, hint: str) -> None:
    """Something, not a class, that has these attributes."""
    if inspect.isclass(value) or not all(hasattr(value, part) for part in parts):
        _refuse(name, value, hint)


def driver(given: D) -> D:
    """A driver, which every room and worker stands on: neither its URL nor the front that has one."""
    protocol("driver", given, "run", "run_many", "follow", hint="pass hx.driver")
    return given


def several(name: str, value: object) -> list[Any]:
    """What can be gone through, but neither text nor bytes: one value that was meant as a list of one."""
    if isinstance(value, str | bytes | bytearray) or not isinstance(value, Iterable):
        _refuse(name, value, "pass a list")
    return list(value)


def shown(value: object) -> str:
    """How a message may show a value: numbers and times as they are, anything else by its class alone."""
    if isinstance(value, _SHOWN) and not isinstance(value, enum.Enum):
        try:
            written = repr(value) if not isinstance(value, timedelta) else str(value)
        except ValueError:  # an int of more digits than the interpreter writes
            return "a number of thousands of digits"
        return written if len(written) <= _LONGEST_SHOWN else f"{written[:_LONGEST_SHOWN]}..."
    return _article(type(value).__name__)


def _refuse(name: str, value: object, hint: str) -> NoReturn:
    raise Misuse(f"{name} cannot be {shown(value)}", hint=hint)


def _article(noun: str) -> str:
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"
