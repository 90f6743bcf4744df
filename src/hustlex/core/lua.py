"""Lua files with a written contract, read and checked when a room is imported.

A file starts with a header::

    -- otp.verify: check a code and count the attempt, in one step.
    -- EFFECT once
    -- KEYS record   hash    otp:{<ref>}:<purpose>
    -- ARGV now_ms   int     0: the server's clock
    -- ARGV mac      hex     what the right code would give
    -- REPLY {0}             gone: never issued, spent, or expired
    -- REPLY {2, left}       wrong; attempts left

The names declared under KEYS and ARGV are the variables of the body: the loader binds them (``record`` is KEYS[1]).
So the header cannot drift from the code, and the body never says KEYS or ARGV, except for a last name that ends in
``...`` (any number of values). ``-- TOUCHES <pattern>`` declares keys computed inside the script (only Asynq's task
hashes). ``-- ALLOW-OOM why`` lets a script that takes rights away, or frees memory, run on a full server.
``-- @include name`` puts a fragment in place, with its own includes: ``name.lua`` of the room's ``lua/lib`` or ``lua``,
or of ``core/lua``.
"""

from __future__ import annotations

import hashlib
import re
from importlib import resources
from importlib.resources.abc import Traversable

import msgspec

from hustlex.core.op import Effect, Script

_TITLE = re.compile(r"^-- ([a-z_]+\.[a-z_]+): \S.*$")
_FIELD = re.compile(r"^-- (EFFECT|KEYS|ARGV|REPLY|TOUCHES|ALLOW-OOM) +(.+)$")
_CONTINUED = re.compile(r"^--( {2,}.*)?$")
_INCLUDE = re.compile(r"^-- @include ([a-z_]+)$")
_NAME = re.compile(r"^[a-z_][a-z0-9_]*(\.\.\.)?$")
_REPLY = re.compile(r"^(\{[^}]*\}|<[^>]+>|[a-z]+)( +.*)?$")
_MOST_LOCALS = 150
_KINDS = {kind: kind for kind in ("hash", "list", "set", "stream", "string", "zset")} | {"str": "string"}
"""What TYPE says. Counters (int) are passed over where they do not fit; what may be any type, the script looks at."""


class Contract(msgspec.Struct, frozen=True):
    """What a header declares. kinds: of the keys, as hash. replies: each REPLY line's shape, as ``{2, left}`` or
    ``<list of messages>``."""

    name: str
    effect: Effect
    keys: tuple[str, ...]
    args: tuple[str, ...]
    replies: tuple[str, ...]
    touches: tuple[str, ...]
    allow_oom: bool
    kinds: tuple[str, ...] = ()


class ContractError(Exception):
    """A Lua file breaks the rules of its header; raised at import, so it never ships."""


def load(package: str, verb: str) -> Script:
    """Read ``<package>/lua/<verb>.lua``, resolve its includes, check its contract, bind its names.

    verb: with its folder where the room sorts its scripts by subject, as ``lease/cycle``. Raises ContractError with
    the file's name and what is wrong.
    """
    folder = resources.files(package) / "lua"
    source = (folder / f"{verb}.lua").read_text("utf-8")
    contract, body = parse(source, f"{package}/lua/{verb}.lua")
    text = _flags(contract) + _guard(contract) + _bindings(contract) + _include(body, folder, set())
    return Script(
        contract.name,
        text,
        hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest(),
        contract.effect,
        contract.keys,
        contract.args,
    )


def parse(source: str, where: str) -> tuple[Contract, str]:
    """Split a file into its contract and its body, and hold one against the other."""
    lines = source.splitlines()
    title = _TITLE.match(lines[0]) if lines else None
    if not title:
        raise ContractError(f"{where}: the first line must read '-- room.verb: what it does'")
    fields: dict[str, list[str]] = {}
    end = 1
    while end < len(lines) and lines[end].startswith("--") and not _INCLUDE.match(lines[end]):
        field = _FIELD.match(lines[end])
        if field:
            fields.setdefault(field[1], []).append(field[2])
        elif not _CONTINUED.match(lines[end]):
            raise ContractError(f"{where}: line {end + 1} is neither a field nor a continuation: {lines[end]!r}")
        end += 1
    contract = _contract(title[1], fields, where)
    body = "\n".join(lines[end:])
    _check_body(contract, body, where)
    return contract, body


def _contract(name: str, fields: dict[str, list[str]], where: str) -> Contract:
    if fields.get("EFFECT", [""])[0].split()[0:1] not in (["read"], ["idempotent"], ["once"]):
        raise ContractError(f"{where}: needs one line '-- EFFECT read|idempotent|once'")
    if not fields.get("REPLY"):
        raise ContractError(f"{where}: needs a REPLY line for every shape of its answer")
    replies = []
    for line in fields["REPLY"]:
        shape = _REPLY.match(line)
        if not shape:
            raise ContractError(f"{where}: REPLY must start with {{...}}, <...> or a type: {line!r}")
        replies.append(shape[1])
    return Contract(
        name,
        Effect(fields["EFFECT"][0].split()[0]),
        _names(fields.get("KEYS", []), where),
        _names(fields.get("ARGV", []), where),
        tuple(replies),
        tuple(fields.get("TOUCHES", [])),
        "ALLOW-OOM" in fields,
        tuple((line.split() + [""])[1] for line in fields.get("KEYS", []) if not line.split()[0].endswith("...")),
    )


def _names(lines: list[str], where: str) -> tuple[str, ...]:
    names = tuple(line.split()[0] for line in lines)
    for position, name in enumerate(names):
        if not _NAME.match(name):
            raise ContractError(f"{where}: {name!r} is not a lower-case Lua name")
        if name.endswith("...") and position != len(names) - 1:
            raise ContractError(f"{where}: only the last name may end in '...'")
    return names


def _check_body(contract: Contract, body: str, where: str) -> None:
    code = re.sub(r"--[^\n]*", "", body)
    for kind, names in (("KEYS", contract.keys), ("ARGV", contract.args)):
        variadic = bool(names) and names[-1].endswith("...")
        if not variadic and re.search(rf"\b{kind}\b", code):
            raise ContractError(f"{where}: the body says {kind}; declare names in the header instead")
        for name in names:
            plain = name.removesuffix("...")
            if name == plain and not re.search(rf"\b{plain}\b", code):
                raise ContractError(f"{where}: {kind} {name} is declared and never used")
    for status in re.findall(r"return \{(-?\d+)", code):
        if not any(re.match(rf"\{{{status}\b", reply) for reply in contract.replies):
            raise ContractError(f"{where}: returns status {status}, which no REPLY declares")
    for reply in contract.replies:
        status = re.match(r"\{(-?\d+)", reply)
        if status and not re.search(rf"\{{ *{status[1]}\b", code):
            raise ContractError(f"{where}: REPLY {reply} is declared and never returned")


def _flags(contract: Contract) -> str:
    return "#!lua flags=allow-oom\n" if contract.allow_oom else ""


def _bindings(contract: Contract) -> str:
    """All names on one line, so that line numbers in server errors stay close to the file's."""
    pairs = [(name, f"KEYS[{n}]") for n, name in enumerate(contract.keys, 1) if not name.endswith("...")]
    pairs += [(name, f"ARGV[{n}]") for n, name in enumerate(contract.args, 1) if not name.endswith("...")]
    if not pairs:
        return ""
    if len(pairs) > _MOST_LOCALS:
        raise ContractError(f"{contract.name}: more than {_MOST_LOCALS} names")
    return f"local {', '.join(name for name, _ in pairs)} = {', '.join(value for _, value in pairs)}\n"


def _guard(contract: Contract) -> str:
    """A script that writes ends before its first step, not in the middle, when a key of it holds another type."""
    kinds = [_KINDS.get(kind, "") for kind in contract.kinds]
    if contract.effect is Effect.READ or len(kinds) + len(contract.touches) < 2 or not any(kinds):
        return ""
    return "".join(_held(n, contract.keys[n - 1], kind) for n, kind in enumerate(kinds, 1) if kind)


def _held(number: int, name: str, kind: str) -> str:
    """Of one key; written out for each, as a loop over tables costs more than what it asks."""
    return (
        f"do local is = redis.call('TYPE', KEYS[{number}]).ok if is ~= '{kind}' and is ~= 'none' then "
        f"return redis.error_reply('WRONGTYPE {name} holds a ' .. is .. ', not a {kind}') end end "
    )


def _include(body: str, folder: Traversable, seen: set[str]) -> str:
    return "\n".join(_fragment(line, folder, seen) for line in body.splitlines()) + "\n"


def _fragment(line: str, folder: Traversable, seen: set[str]) -> str:
    """A file that was included before stands there already."""
    found = _INCLUDE.match(line)
    if not found:
        return line
    if found[1] in seen:
        return ""
    seen.add(found[1])
    for place in (folder / "lib", folder, resources.files("hustlex.core") / "lua"):
        candidate = place / f"{found[1]}.lua"
        if candidate.is_file():
            return _include(candidate.read_text("utf-8"), folder, seen).rstrip("\n")
    raise ContractError(f"include {found[1]!r} not found")
