"""Is a server fit for what it holds? Each check is a plain function of facts, and asks nobody."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from hustlex.core.memory import MemoryLimit
from hustlex.diagnostics.facts import ServerFacts
from hustlex.diagnostics.findings import DoctorFinding, Level, Role

Judgement = tuple[Level, str, str]
"""Level, what was measured, what to do."""
Check = Callable[[Role, ServerFacts], Judgement]
Info = Mapping[str, str]
"""INFO's fields, all as text."""

_OLDEST = {"redis": (7, 0), "valkey": (7, 2)}
_SKEW_WARN_MS, _SKEW_FAIL_MS = 2_000, 30_000
_SLOW_MS = 20
_NEARLY_FULL = 0.9
_FORK_WARN_MS, _FORK_FAIL_MS = 200, 1_000
_LOOSE_WARN, _LOOSE_FAIL = 1.5, 2.0
_LOOSE_FROM = 100 * 2**20
"""Below it fragmentation is the allocator's own, and says nothing."""
_LAG_S = 10
_CROWDED = 0.8
_MOST_SCRIPTS = 500
"""All rooms together have fewer than 200."""
_WRITES = ("aof_last_write_status", "aof_last_bgrewrite_status", "rdb_last_bgsave_status")


def judge(role: Role, facts: ServerFacts) -> Iterator[DoctorFinding]:
    """One finding for each check."""
    for name, check in _CHECKS.items():
        level, detail, hint = check(role, facts)
        yield DoctorFinding(role, name, level, detail, "" if level == "ok" else hint)


def apart(state: ServerFacts, cache: ServerFacts | None) -> DoctorFinding:
    """Whether cache and state have a server each."""
    if cache is not None and cache.info.get("run_id") != state.info.get("run_id"):
        return DoctorFinding("cache", "separate", "ok", "the cache has a server of its own")
    hint = "set HUSTLEX_CACHE_URL to a second server: what fills this one with cache stops logins and payments"
    return DoctorFinding("cache", "separate", "warn", "the cache shares the state server", hint)


# -- of what the server is and may do


def _eviction(role: Role, facts: ServerFacts) -> Judgement:
    memory = facts.memory
    detail = f"maxmemory {memory.limit or 'unlimited'}, maxmemory-policy {memory.policy or 'unknown'}"
    return _cache_eviction(memory, detail) if role == "cache" else _state_eviction(memory, detail)


def _cache_eviction(memory: MemoryLimit, detail: str) -> Judgement:
    fits = memory.limit > 0 and memory.evicts
    return ("ok" if fits else "warn"), detail, "a cache wants a maxmemory and allkeys-lfu or allkeys-lru"


def _state_eviction(memory: MemoryLimit, detail: str) -> Judgement:
    if memory.evicts:
        return "fail", detail, "set maxmemory-policy noeviction: an evicted blacklist entry makes a dead token good"
    hint = "set a maxmemory below the machine's, with noeviction: else the system kills the server when memory ends"
    return ("ok" if memory.limit else "warn"), detail, hint


def _room(role: Role, facts: ServerFacts) -> Judgement:
    if "used_memory" not in facts.info:
        return "unknown", "the server does not say how much is in use", "allow +info, or ask as another user"
    used, limit = _number(facts.info, "used_memory"), facts.memory.limit
    full = role == "state" and limit > 0 and used > _NEARLY_FULL * limit
    return ("warn" if full else "ok"), f"{int(used) // 2**20} MiB in use", "over 90 % of maxmemory: raise it soon"


def _clock(_: Role, facts: ServerFacts) -> Judgement:
    level = _above(abs(facts.skew_ms), _SKEW_WARN_MS, _SKEW_FAIL_MS)
    hint = "run NTP on both: tokens bear both clocks' times"
    return level, f"{facts.skew_ms / 1000:+.1f} s from this machine's", hint


def _distance(_: Role, facts: ServerFacts) -> Judgement:
    slow = facts.round_trip_ms > _SLOW_MS
    return ("warn" if slow else "ok"), f"{facts.round_trip_ms:.1f} ms", "every call pays this; bring the server nearer"


def _rights(_: Role, facts: ServerFacts) -> Judgement:
    if facts.user == "default":
        return "warn", "the user is default, who may do everything", "make one with: hustlex doctor --acl"
    return "ok", f"the user is {facts.user or 'one that may not ask, so a limited one'}", ""


# -- of INFO


def _version(_: Role, info: Info) -> Judgement:
    kind = "valkey" if "valkey_version" in info else "redis"
    text = info.get(f"{kind}_version", "")
    numbers = tuple(int(part) for part in re.findall(r"\d+", text)[:2])
    oldest = _OLDEST[kind]
    hint = f"{kind} {oldest[0]}.{oldest[1]} or newer is needed"
    return ("ok" if numbers >= oldest else "fail"), f"{kind} {text or 'of an unknown version'}", hint


def _role(_: Role, info: Info) -> Judgement:
    role = info.get("role", "unknown")
    return ("ok" if role == "master" else "fail"), f"role {role}", "use the primary's URL"


def _evicted(role: Role, info: Info) -> Judgement:
    keys, clients = int(_number(info, "evicted_keys")), int(_number(info, "evicted_clients"))
    detail = f"{keys} keys and {clients} clients were evicted since the server started"
    if role == "state" and keys:
        return "fail", detail, "sessions, codes or claims of payments may be lost; set noeviction and more memory"
    return ("warn" if clients else "ok"), detail, "raise maxmemory-clients, or find who reads too slowly: CLIENT LIST"


def _fragmentation(_: Role, info: Info) -> Judgement:
    ratio = _number(info, "mem_fragmentation_ratio")
    if _number(info, "used_memory") < _LOOSE_FROM:
        return "ok", "too little memory in use to tell", ""
    hint = "set activedefrag yes, or restart a replica and fail over to it"
    return _above(ratio, _LOOSE_WARN, _LOOSE_FAIL), f"takes {ratio:.2f} times what it holds", hint


def _persistence(role: Role, info: Info) -> Judgement:
    appends = info.get("aof_enabled") == "1"
    broken = [name for name in _WRITES if info.get(name) == "err"]
    detail = f"append-only file {'on' if appends else 'off'}" + "".join(f", {name} err" for name in broken)
    if role == "cache":
        return "ok", detail, ""
    if broken:
        return "fail", detail, "the server cannot write to its disk; look at its log"
    return ("ok" if appends else "warn"), detail, "appendonly yes: else a restart logs users out and loses jobs"


def _fork(_: Role, info: Info) -> Judgement:
    pause_ms = _number(info, "latest_fork_usec") / 1000
    hint = "every save stops all calls that long: use less memory per server, and turn transparent huge pages off"
    return _above(pause_ms, _FORK_WARN_MS, _FORK_FAIL_MS), f"the last one took {pause_ms:.0f} ms", hint


def _replicas(_: Role, info: Info) -> Judgement:
    found = {name: dict(part.partition("=")[::2] for part in text.split(",")) for name, text in info.items()
             if re.fullmatch(r"slave\d+", name)}  # fmt: skip
    late = [
        name for name, fields in found.items() if fields.get("state") != "online" or _number(fields, "lag") > _LAG_S
    ]
    detail = f"{len(found)} replicas, {len(late)} of them {_LAG_S} s behind or not in step"
    return ("warn" if late else "ok"), detail, "a failover would lose what they do not have; look at their links"


def _clients(_: Role, info: Info) -> Judgement:
    connected, most = int(_number(info, "connected_clients")), int(_number(info, "maxclients"))
    rejected = int(_number(info, "rejected_connections"))
    detail = f"{connected} of {most or 'unknown'} connections" + (f", {rejected} were rejected" if rejected else "")
    hint = "raise maxclients, or find who opens so many: CLIENT LIST"
    if rejected:
        return "fail", detail, hint
    return ("warn" if most and connected > _CROWDED * most else "ok"), detail, hint


def _scripts(_: Role, info: Info) -> Judgement:
    count, evicted = int(_number(info, "number_of_cached_scripts")), int(_number(info, "evicted_scripts"))
    detail = f"{count} in the server's cache" + (f", {evicted} were evicted" if evicted else "")
    hint = "somebody writes values into the text of scripts; pass them as ARGV"
    return ("warn" if evicted or count > _MOST_SCRIPTS else "ok"), detail, hint


def _above(value: float, warn: float, fail: float) -> Level:
    return "fail" if value > fail else "warn" if value > warn else "ok"


def _number(info: Info, name: str) -> float:
    try:
        return float(info.get(name, 0))
    except ValueError:
        return 0.0


def _by_info(measure: Callable[[Role, Info], Judgement]) -> Check:
    """A check of what only INFO tells; unknown where that may not be asked."""

    def check(role: Role, facts: ServerFacts) -> Judgement:
        if facts.info:
            return measure(role, facts.info)
        return "unknown", "this user may not ask for INFO", "allow +info, or ask as another user"

    return check


_CHECKS: dict[str, Check] = {
    "version": _by_info(_version),
    "role": _by_info(_role),
    "eviction": _eviction,
    "evicted": _by_info(_evicted),
    "room": _room,
    "fragmentation": _by_info(_fragmentation),
    "persistence": _by_info(_persistence),
    "fork": _by_info(_fork),
    "replicas": _by_info(_replicas),
    "clients": _by_info(_clients),
    "scripts": _by_info(_scripts),
    "clock": _clock,
    "distance": _distance,
    "rights": _rights,
}
