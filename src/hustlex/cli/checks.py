"""What the doctor looks at. Facts are asked of a server, findings are pure."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Literal

import msgspec

from hustlex.core.memory import MemoryLimit, ask
from hustlex.core.memory.facts import fields_of
from hustlex.core.op import Effect, Reply, command
from hustlex.drivers.blocking import Driver
from hustlex.errors import Refused

Role = Literal["state", "cache"]
Level = Literal["ok", "warn", "fail"]

_OLDEST = {"redis": (7, 0), "valkey": (7, 2)}
_SKEW_WARN_MS, _SKEW_FAIL_MS = 2_000, 30_000
_SLOW_MS = 20
_NEARLY_FULL = 0.9


class DoctorFinding(msgspec.Struct, frozen=True):
    """check: its name. hint: what to do when the level is not "ok"."""

    role: Role
    check: str
    level: Level
    detail: str
    hint: str = ""


class ServerFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a server says of itself. user: "" when it may not be asked. skew_ms: its clock minus ours."""

    info: dict[str, str]
    memory: MemoryLimit
    user: str
    skew_ms: int
    round_trip_ms: float


def examine(driver: Driver) -> ServerFacts:
    """Ask. Raises Unavailable, Denied."""
    driver.run(command("doctor.ping", Effect.READ, "PING", decode=bool))
    info = driver.run(command("doctor.info", Effect.READ, "INFO", decode=lambda reply: fields_of(bytes(reply))))
    before = time.time()
    server_ms = driver.run(command("doctor.time", Effect.READ, "TIME", decode=_milliseconds))
    after = time.time()
    return ServerFacts(
        info=info,
        memory=driver.follow(ask()),
        user=_user(driver),
        skew_ms=round(server_ms - (before + after) * 500),
        round_trip_ms=(after - before) * 1000,
    )


def _user(driver: Driver) -> str:
    try:
        return driver.run(command("doctor.whoami", Effect.READ, "ACL", "WHOAMI", decode=_text))
    except Refused:
        return ""


def _text(reply: Reply) -> str:
    return bytes(reply).decode()


def _milliseconds(reply: Reply) -> int:
    return int(reply[0]) * 1000 + int(reply[1]) // 1000


def judge(role: Role, facts: ServerFacts) -> Iterator[DoctorFinding]:
    """One finding for each check."""
    for check in (_version, _role, _eviction, _room, _persistence, _clock, _distance, _rights):
        name = check.__name__.removeprefix("_")
        level, detail, hint = check(role, facts)
        yield DoctorFinding(role, name, level, detail, "" if level == "ok" else hint)


def apart(state: ServerFacts, cache: ServerFacts | None) -> DoctorFinding:
    """Whether cache and state have a server each."""
    if cache is not None and cache.info.get("run_id") != state.info.get("run_id"):
        return DoctorFinding("cache", "separate", "ok", "the cache has a server of its own")
    hint = "set HUSTLEX_CACHE_URL to a second server: what fills this one with cache stops logins and payments"
    return DoctorFinding("cache", "separate", "warn", "the cache shares the state server", hint)


Judgement = tuple[Level, str, str]


def _version(_: Role, facts: ServerFacts) -> Judgement:
    kind = "valkey" if "valkey_version" in facts.info else "redis"
    text = facts.info.get(f"{kind}_version", "")
    numbers = tuple(int(part) for part in re.findall(r"\d+", text)[:2])
    oldest = _OLDEST[kind]
    hint = f"{kind} {oldest[0]}.{oldest[1]} or newer is needed"
    return ("ok" if numbers >= oldest else "fail"), f"{kind} {text or 'of an unknown version'}", hint


def _role(_: Role, facts: ServerFacts) -> Judgement:
    role = facts.info.get("role", "unknown")
    return ("ok" if role == "master" else "fail"), f"role {role}", "use the primary's URL"


def _eviction(role: Role, facts: ServerFacts) -> Judgement:
    memory = facts.memory
    detail = f"maxmemory {memory.limit or 'unlimited'}, maxmemory-policy {memory.policy or 'unknown'}"
    if role == "cache":
        fits = memory.limit > 0 and memory.evicts
        return ("ok" if fits else "warn"), detail, "a cache wants a maxmemory and allkeys-lfu or allkeys-lru"
    if memory.evicts:
        return "fail", detail, "set maxmemory-policy noeviction: an evicted blacklist entry makes a dead token good"
    hint = "set a maxmemory below the machine's, with noeviction: else the system kills the server when memory ends"
    return ("ok" if memory.limit else "warn"), detail, hint


def _room(role: Role, facts: ServerFacts) -> Judgement:
    used, limit = int(facts.info.get("used_memory", "0")), facts.memory.limit
    full = role == "state" and limit > 0 and used > _NEARLY_FULL * limit
    return ("warn" if full else "ok"), f"{used // 2**20} MiB in use", "over 90 % of maxmemory: raise it soon"


def _persistence(role: Role, facts: ServerFacts) -> Judgement:
    appends = facts.info.get("aof_enabled") == "1"
    broken = [name for name in ("aof_last_write_status", "rdb_last_bgsave_status") if facts.info.get(name) == "err"]
    detail = f"append-only file {'on' if appends else 'off'}" + "".join(f", {name} err" for name in broken)
    if role == "cache":
        return "ok", detail, ""
    if broken:
        return "fail", detail, "the server cannot write to its disk; look at its log"
    return ("ok" if appends else "warn"), detail, "appendonly yes: else a restart logs users out and loses jobs"


def _clock(_: Role, facts: ServerFacts) -> Judgement:
    off = abs(facts.skew_ms)
    level: Level = "fail" if off > _SKEW_FAIL_MS else "warn" if off > _SKEW_WARN_MS else "ok"
    return (
        level,
        f"{facts.skew_ms / 1000:+.1f} s from this machine's",
        "run NTP on both: tokens bear both clocks' times",
    )


def _distance(_: Role, facts: ServerFacts) -> Judgement:
    slow = facts.round_trip_ms > _SLOW_MS
    return ("warn" if slow else "ok"), f"{facts.round_trip_ms:.1f} ms", "every call pays this; bring the server nearer"


def _rights(_: Role, facts: ServerFacts) -> Judgement:
    if facts.user == "default":
        return "warn", "the user is default, who may do everything", "make one with: hustlex doctor --acl"
    return "ok", f"the user is {facts.user or 'not told, so a limited one'}", ""
