"""Rules from a file or a dictionary, replaced while the program runs.

::

    transfers = "5/minute per user on POST /wallet/transfers using log"

    [search]
    rule = "60/minute per ip on GET /search"
    shadow = true
    penalty = { strikes = 10, per = "10min", ban = "5min" }

Each entry is a rule's line (see ``text``) or a table with it and further fields of the Policy; its name is the
policy's.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from hustlex.core import check
from hustlex.core.logs import logger
from hustlex.errors import ConfigurationError, Error
from hustlex.ratelimit.policy.policy import Penalty
from hustlex.ratelimit.policy.rule_parser import Rule, duration, parse_rule

_FIELDS = frozenset(
    {"reserve", "penalty", "prefetch", "local_deny", "shadow", "count_denied", "on_error", "overridable"}
)
_log = logger("hustlex.ratelimit")


class Reloaded(msgspec.Struct, frozen=True):
    """What ``reload`` did. changed: names of entries that are new, different or gone. error: why nothing changed."""

    changed: tuple[str, ...] = ()
    error: str = ""


class Rulebook:
    """``Rulebook(Path("limits.toml"))``, or ``Rulebook({"search": "60/minute per ip"})``.

    rules: those in force, in the order of the file. Raises ConfigurationError when the first content is not valid.
    """

    def __init__(self, source: Path | Mapping[str, Any]) -> None:
        check.instance("source", source, Path, Mapping, hint="pass the Path of a file, or a dictionary of rules")
        self._path = source if isinstance(source, Path) else None
        self._seen = self._mark()
        self.rules = read_rules(_content(source) if isinstance(source, Path) else source)

    def fitting(self, method: str, path: str) -> tuple[Rule, ...]:
        """The rules that cover a request."""
        return tuple(rule for rule in self.rules if rule.fits(method, path))

    def reload(self, source: Mapping[str, Any] | None = None) -> Reloaded:
        """Read the file (or this dictionary) again. Content that is not valid changes nothing, and is logged."""
        if source is not None:
            check.instance("source", source, Mapping, hint="pass a dictionary of rules")
        try:
            if source is None and self._path is None:
                raise ConfigurationError("these rules came from a dictionary", hint="pass the new one")
            fresh = read_rules(_content(self._path) if source is None and self._path else source or {})
        except Error as error:
            _log.error("the rules stay as they were: %s", error)
            return Reloaded(error=str(error))
        before, after = ({rule.policy.name: rule for rule in rules} for rules in (self.rules, fresh))
        changed = tuple(name for name in before | after if before.get(name) != after.get(name))
        self.rules = fresh
        if changed:
            _log.info("rules changed: %s", ", ".join(changed))
        return Reloaded(changed)

    def reload_if_changed(self) -> Reloaded | None:
        """``reload`` when the file's time, size or inode is another than before; None: it is not. One ``stat``."""
        mark = self._mark()
        if mark == self._seen:
            return None
        self._seen = mark
        return self.reload()

    def _mark(self) -> tuple[int, ...]:
        """What changes when the file does; empty while there is none."""
        try:
            found = self._path.stat() if self._path else None
        except OSError:
            return ()
        return (found.st_mtime_ns, found.st_size, found.st_ino) if found else ()


def read_rules(entries: Mapping[str, Any]) -> tuple[Rule, ...]:
    """Rules from entries. Raises ConfigurationError that names the entry."""
    rules = []
    for name, entry in entries.items():
        try:
            check.text("a rule's name", name)
            rules.append(_rule(name, entry))
        except (Error, TypeError, ValueError, AttributeError) as error:
            why = error.message if isinstance(error, Error) else f"{type(error).__name__}: {error}"
            raise ConfigurationError(f"rule {str(name)[:64]!r}: {why}", hint=getattr(error, "hint", "")) from None
    return tuple(rules)


def _rule(name: str, entry: Any) -> Rule:
    if isinstance(entry, str):
        return parse_rule(entry, name=name)
    check.instance("a rule", entry, str, Mapping, hint="pass its line, or a table of fields")
    fields = dict(entry)
    text = fields.pop("rule", None)
    if not isinstance(text, str):
        raise ConfigurationError('a table has a rule, as rule = "10/minute per ip"')
    unknown = sorted(set(fields) - _FIELDS)
    if unknown:
        raise ConfigurationError(f"unknown: {', '.join(unknown)}", hint=f"known are {', '.join(sorted(_FIELDS))}")
    if "prefetch" in fields:
        fields["prefetch"] = duration(fields["prefetch"])
    if "penalty" in fields:
        given = {k: duration(v) if isinstance(v, str) else v for k, v in fields["penalty"].items()}
        fields["penalty"] = msgspec.convert(given, Penalty)
    return parse_rule(text, name=name, **fields)


def _content(path: Path) -> Mapping[str, Any]:
    """A TOML file's content, or a JSON one's. Raises ConfigurationError."""
    try:
        text = path.read_text("utf-8")
        found = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise ConfigurationError(f"{path.name} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ConfigurationError(f"{path.name} is not valid: {error}") from None
    if not isinstance(found, dict):
        raise ConfigurationError(f"{path.name} must hold one object, name -> rule")
    return found
