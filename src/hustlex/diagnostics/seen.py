"""What may be shown of a command or a key: words of ours and of Redis, never what users or applications put in."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from importlib import resources

import msgspec

from hustlex.core.lua import load
from hustlex.diagnostics.rights import ROOMS, sources

_COMMAND = re.compile(rb"[A-Za-z][A-Za-z0-9_|.-]{0,31}")
_RUNS = ("EVALSHA", "EVAL", "EVALSHA_RO", "EVAL_RO", "FCALL", "FCALL_RO")
_KEYLESS = {
    "ACL", "AUTH", "CLIENT", "CLUSTER", "COMMAND", "CONFIG", "DBSIZE", "ECHO", "HELLO", "INFO", "LATENCY", "MONITOR",
    "PING", "PSUBSCRIBE", "PUBLISH", "REPLCONF", "SCAN", "SCRIPT", "SELECT", "SLOWLOG", "SPUBLISH", "SSUBSCRIBE",
    "SUBSCRIBE", "TIME", "WAIT", "WAITAOF", "FUNCTION", "MULTI", "EXEC", "DISCARD", "UNWATCH", "ROLE", "DEBUG",
}  # fmt: skip
_WITH_VERB = ("ACL", "CLIENT", "CLUSTER", "COMMAND", "CONFIG", "LATENCY", "MEMORY", "OBJECT", "SCRIPT", "SLOWLOG")
_KEY_LINE = re.compile(r"^-- (?:KEYS|TOUCHES) .*$", re.MULTILINE)
_WORD = re.compile(r"(?:^|[:{])([a-z_]{1,20})(?=[:}]|$)")
_VERB = re.compile(r"[A-Za-z|-]{1,20}")
_HIDDEN = "*"
_CUT = re.compile(rb"\.\.\. \(\d+ more (?:bytes|arguments)\)$")


class SeenCommand(msgspec.Struct, frozen=True):
    """A command without its arguments."""

    name: str
    """As ``HGET`` or ``CLIENT LIST``."""
    script: str
    """As ``otp.verify``; "?" for a script that is not of this version, "" where none runs."""
    key: str
    """The pattern of its first key, as ``otp:{*}:*``; "" for none."""
    words: int
    """How many it has, the name included."""
    bytes: int
    """Of all of them, as far as the server tells."""


def seen(words: Sequence[bytes], prefix: str = "") -> SeenCommand:
    """What may be shown of a command."""
    name, verb = _name(words)
    script = _script(name, words)
    place = 3 if name in _RUNS else 1 + bool(verb)
    has_key = len(words) > place and name not in _KEYLESS and (name not in _RUNS or words[2] != b"0")
    key = key_pattern(words[place], prefix) if has_key else ""
    return SeenCommand(f"{name} {verb}".strip(), script, key, len(words), sum(map(len, words)))


def _name(words: Sequence[bytes]) -> tuple[str, str]:
    if not words or not _COMMAND.fullmatch(words[0]):
        return "?", ""
    name = words[0].decode().upper()
    verb = words[1].decode("latin-1").upper() if name in _WITH_VERB and len(words) > 1 else ""
    return name, verb if _VERB.fullmatch(verb) else ""


def _script(name: str, words: Sequence[bytes]) -> str:
    if name not in _RUNS or len(words) < 2:
        return ""
    said = words[1].decode("latin-1")
    if name.startswith("EVALSHA"):
        return _scripts()[0].get(said.lower(), "?")
    beginning = _CUT.sub(b"", words[1]).decode("latin-1")
    return next((of for text, of in _scripts()[1] if beginning and text.startswith(beginning)), "?")


def key_pattern(key: bytes, prefix: str = "") -> str:
    """A key with a star for each part that is not a word of the rooms' contracts: ids, numbers, what users chose."""
    text = _CUT.sub(b"", key).decode("utf-8", "replace")
    ours = text.removeprefix(prefix) if prefix and text.startswith(prefix) else text
    before = prefix if ours is not text else ""
    parts = re.split(r"([:{}])", ours)
    family = parts[0] in _vocabulary()
    shown = (part if part in ("", ":", "{", "}") or (family and part in _vocabulary()) else _HIDDEN for part in parts)
    return before + "".join(shown)


@cache
def _vocabulary() -> frozenset[str]:
    """The words that stand in the key patterns of all contracts."""
    words: set[str] = set()
    for room in ROOMS:
        for name, source in sources(resources.files(f"hustlex.{room}")):
            if name.endswith(".lua"):
                for line in _KEY_LINE.findall(source):
                    patterns = re.findall(r"\S*:\S*", re.sub(r"<[^>]*>", "", line))
                    words |= {word for pattern in patterns for word in _WORD.findall(pattern)}
    return frozenset(words)


@cache
def _scripts() -> tuple[dict[str, str], list[tuple[str, str]]]:
    """The names of all scripts, by the digest of their text, and beside their text."""
    digests, texts = {}, []
    for room in (*ROOMS, "diagnostics"):
        folder = resources.files(f"hustlex.{room}") / "lua"
        for verb in _verbs(folder):
            script = load(f"hustlex.{room}", verb)
            digests[script.sha1] = script.name
            texts.append((script.text, script.name))
    return digests, texts


def _verbs(folder: object, before: str = "") -> list[str]:
    found = []
    for entry in folder.iterdir():  # type: ignore[attr-defined]
        if entry.is_dir():
            found += _verbs(entry, f"{before}{entry.name}/") if entry.name != "lib" else []
        elif entry.name.endswith(".lua") and _is_script(entry.read_text("utf-8")):
            found.append(before + entry.name.removesuffix(".lua"))
    return found


def _is_script(source: str) -> bool:
    return "\n-- EFFECT " in source
