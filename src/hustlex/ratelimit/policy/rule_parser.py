"""Policies as one line of text.

::

    rule    = amount ["per" who | "global"] ["on" [METHOD] path] option*
    amount  = number "/" [number] unit      10/minute, 100/15min, 5/30s
            | number "at once" ["for" number unit]         leases; life 30 s unless said
    who     = user | ip | key               default: user
    path    = /like/{this}                  {name} is one segment, a last {name:path} any number
    unit    = ms | s | min | h | d, or second(s), minute(s), hour(s), day(s)
    option  = "using" strict | log | counter | fixed | gcra        default: strict
            | "burst" number | "cost" number | "buckets" number
            | "failing" local | open | closed                      default: local
            | "named" name | "shadow" | "counting refusals" | "overridable"

``10/minute per user on POST /transfers``, ``100/h per ip using log``, ``50/s global using gcra burst 10``,
``3 at once per user on GET /export``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Literal, NoReturn

import msgspec

from hustlex.core import check
from hustlex.errors import Misuse
from hustlex.ratelimit.policy.policy import Policy

Who = Literal["user", "ip", "key", "global"]

_UNITS = {
    "ms": ("ms", "millisecond", "milliseconds"),
    "s": ("s", "sec", "second", "seconds"),
    "min": ("m", "min", "minute", "minutes"),
    "h": ("h", "hour", "hours"),
    "d": ("d", "day", "days"),
}
_LENGTHS = {"ms": 1, "s": 1000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}
_UNIT_OF = {word: unit for unit, words in _UNITS.items() for word in words}
_LONGEST_RULE = 4_096
_AMOUNT = re.compile(r"(\d{1,15})/(\d{0,15})([a-z]+)")
_LIFE = re.compile(r"(\d{1,15})([a-z]+)")
_PATH = re.compile(r"/(?:[A-Za-z0-9._~@+=/-]|\{[a-z_]+\}|\{[a-z_]+:path\}$)*")
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_ALGORITHMS = ("strict", "log", "counter", "fixed", "gcra")


class Rule(msgspec.Struct, frozen=True):
    """Who is limited where, by which policy. method, path: "" means every one."""

    policy: Policy
    who: Who = "user"
    method: str = ""
    path: str = ""

    @property
    def endpoint(self) -> str:
        """The label that its calls are counted under."""
        return f"{self.method} {self.path}".strip() or "all"

    def fits(self, method: str, path: str) -> bool:
        """Whether a request is covered. HEAD is a GET whose answer has no body, and costs as much."""
        method, path = check.typed("method", method), check.typed("path", path)
        asked = "GET" if method == "HEAD" and self.method != "HEAD" else method
        return self.method in ("", asked) and (not self.path or bool(_matcher(self.path).fullmatch(path)))


def parse_rule(text: str, *, name: str = "", **more: Any) -> Rule:
    """A rule from its line, see the grammar above.

    name: the policy's, unless the text names it; default made of the limit. more: further fields of the Policy, which
    have no words. Raises Misuse that shows the place and what could stand there.
    """
    check.instance("rule", text, str)
    return _Reader(check.unicode("rule", text, longest=_LONGEST_RULE)).rule(check.text("name", name, blank=True), more)


def duration(text: str) -> timedelta:
    """``30s``, ``15min``, ``250 ms``. Raises Misuse."""
    found = _LIFE.fullmatch(text.replace(" ", ""))
    if not found or found[2] not in _UNIT_OF:
        raise Misuse(f"{text[:40]!r} is not a duration", hint="like 30s, 15min, 2h or 1d")
    return _length(found[1], found[2])


class _Reader:
    """A line's words, and how far they were read."""

    def __init__(self, text: str) -> None:
        self._words = text.split()
        self._at = 0

    def rule(self, name: str, more: dict[str, Any]) -> Rule:
        fields, label = self._amount()
        leases = "algorithm" in fields
        who, method, path = self._who(), "", ""
        seen: set[str] = set()
        options: dict[str, Callable[[], dict[str, Any]]] = {
            "using": lambda: {"algorithm": self._one_of(_ALGORITHMS)},
            "burst": lambda: {"burst": self._number()},
            "cost": lambda: {"cost": self._number()},
            "buckets": lambda: {"buckets": self._number()},
            "failing": lambda: {"on_error": self._one_of(("local", "open", "closed"))},
            "named": lambda: {"name": self._next("a name")},
            "shadow": lambda: {"shadow": True},
            "overridable": lambda: {"overridable": True},
            "counting": lambda: {"count_denied": bool(self._one_of(("refusals",)))},
        }
        while self._at < len(self._words):
            word = self._one_of(("on", *options))
            if word in seen:
                self._fail(f"a second {word!r}", back=1)
            seen.add(word)
            if word == "on":
                method, path = self._place()
            else:
                fields |= options[word]()
        if leases and "using" in seen:
            self._fail("'at once' has an algorithm of its own; leave 'using' out")
        return Rule(Policy(**({"name": name or f"{label}-{who}"} | fields | more)), who, method, path)

    def _amount(self) -> tuple[dict[str, Any], str]:
        word = self._next("a limit like 10/minute, or 3 at once")
        found = _AMOUNT.fullmatch(word)
        if found and found[3] in _UNIT_OF:
            fields = {"limit": int(found[1]), "window": _length(found[2] or "1", found[3])}
            return fields, f"{found[1]}-per-{found[2]}{_UNIT_OF[found[3]]}"
        if word.isdecimal() and len(word) < 16 and self._peek() == "at":
            self._at += 1
            self._one_of(("once",))
            return {"limit": int(word), "window": self._life(), "algorithm": "leases"}, f"{word}-at-once"
        return self._fail("expected a limit like 10/minute, 100/15min, or 3 at once", back=1)

    def _life(self) -> timedelta:
        if self._peek() != "for":
            return timedelta(seconds=30)
        self._at += 1
        return duration(self._next("a life like 30s"))

    def _who(self) -> Who:
        if self._peek() == "global":
            self._at += 1
            return "global"
        if self._peek() != "per":
            return "user"
        self._at += 1
        return self._one_of(("user", "ip", "key"))  # type: ignore[return-value]

    def _place(self) -> tuple[str, str]:
        method = self._words[self._at] if self._peek() in _METHODS else ""
        self._at += bool(method)
        path = self._next("a path like /gigs/{id}")
        if not _PATH.fullmatch(path):
            self._fail("expected a path like /gigs/{id}, with a method before it or none", back=1)
        return method, path

    # -- words

    def _peek(self) -> str:
        return self._words[self._at] if self._at < len(self._words) else ""

    def _next(self, wanted: str) -> str:
        if self._at >= len(self._words):
            self._fail(f"expected {wanted}")
        self._at += 1
        return self._words[self._at - 1]

    def _number(self) -> int:
        word = self._next("a number")
        if not word.isdecimal() or len(word) > 15:
            self._fail("expected a number", back=1)
        return int(word)

    def _one_of(self, words: tuple[str, ...]) -> str:
        wanted = " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))
        word = self._next(wanted)
        if word not in words:
            self._fail(f"expected {wanted}", back=1)
        return word

    def _fail(self, why: str, *, back: int = 0) -> NoReturn:
        at = self._at - back
        place = f"at {self._words[at]!r}" if at < len(self._words) else "at its end"
        raise Misuse(f"rule {' '.join(self._words)!r}, {place}: {why}")


def _length(number: str, unit: str) -> timedelta:
    try:
        return timedelta(milliseconds=int(number) * _LENGTHS[_UNIT_OF[unit]])
    except OverflowError:
        raise Misuse(f"{number[:20]} {unit} is too long") from None


_matchers: dict[str, re.Pattern[str]] = {}


def _matcher(path: str) -> re.Pattern[str]:
    """The pattern of a path; as many are kept as there are paths in rules."""
    if path not in _matchers:
        parts = re.split(r"(\{[a-z_]+(?::path)?\})", path)
        made = (".*" if part.endswith(":path}") else "[^/]+" if part[:1] == "{" else re.escape(part) for part in parts)
        _matchers[path] = re.compile("".join(made), re.DOTALL)
    return _matchers[path]
