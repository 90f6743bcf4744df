"""Is it the right server, is there memory for what it holds, and does it keep it?"""

from __future__ import annotations

import re

from hustlex.core.memory import MemoryLimit
from hustlex.diagnostics.checks.check import Checks, Info, Judgement, above, denied, grown, mib, number, ok
from hustlex.diagnostics.facts import ServerFacts
from hustlex.diagnostics.findings import Level, Role

CHECKS = Checks()

_OLDEST = {"redis": (7, 0), "valkey": (7, 2)}
_FILLING, _NEARLY_FULL = 0.8, 0.9
_LOOSE_WARN, _LOOSE_FAIL = 1.5, 2.0
_LOOSE_FROM = 100 * 2**20
"""Below it fragmentation is the allocator's own, and says nothing."""
_JUST_STARTED_S = 600
_RARE, _ENOUGH = 0.2, 1_000


@CHECKS.by_info("fail: older than Redis 7.0 or Valkey 7.2", "the rooms' scripts need what came with it")
def _version(_: Role, info: Info) -> Judgement:
    kind = "valkey" if "valkey_version" in info else "redis"
    text = info.get(f"{kind}_version", "")
    numbers = tuple(int(part) for part in re.findall(r"\d+", text)[:2])
    oldest = _OLDEST[kind]
    hint = f"{kind} {oldest[0]}.{oldest[1]} or newer is needed"
    return ("ok" if numbers >= oldest else "fail"), f"{kind} {text or 'of an unknown version'}", hint


@CHECKS.by_info("fail: a replica", "it refuses every write")
def _role(_: Role, info: Info) -> Judgement:
    role = info.get("role", "unknown")
    return ("ok" if role == "master" else "fail"), f"role {role}", "use the primary's URL"


@CHECKS.add("warn: redis:// for a part of a cluster", "who names the cluster hears none of our events, nor we theirs")
def _address(_: Role, facts: ServerFacts) -> Judgement | None:
    if facts.link is None or not facts.info:
        return None
    half = facts.info.get("cluster_enabled") == "1" and not facts.link.cluster
    detail = "the URL names a single server, and this is part of a cluster" if half else "the URL says what it is"
    return ("warn" if half else "ok"), detail, "use redis+cluster:// in every process"


@CHECKS.by_info("info: started less than 10 minutes ago", "one that starts again and again loses what is not on disk")
def _uptime(_: Role, info: Info) -> Judgement:
    seconds = number(info, "uptime_in_seconds")
    hint = "unless somebody restarted it, look at its log and at the kernel's for OOM"
    young = "uptime_in_seconds" in info and seconds < _JUST_STARTED_S
    return ("info" if young else "ok"), f"started {seconds / 60:.0f} minutes ago", hint


@CHECKS.add("info: a command that durability or near caches need is missing", "what is off is not missed at first")
def _capabilities(_: Role, facts: ServerFacts) -> Judgement:
    if facts.absent is None:
        return denied("+command|info")
    lacking = ", ".join(f"no {name.upper().replace('|', ' ')}: {then}" for name, then in facts.absent.items())
    return ("info" if lacking else "ok"), lacking or "it has all that is used", "use Redis 7.2, Valkey 7.2 or newer"


# -- memory


@CHECKS.add(
    "state: fail when maxmemory is set and the policy is not noeviction, warn without maxmemory (fail in a container "
    "that has a limit); cache: warn without a limit, or with noeviction",
    "an evicted blacklist entry makes a dead token good; without maxmemory the kernel kills the server",
)
def _eviction(role: Role, facts: ServerFacts) -> Judgement:
    memory = facts.memory
    detail = f"maxmemory {memory.limit or 'unlimited'}, maxmemory-policy {memory.policy or 'unknown'}"
    return _cache_eviction(memory, detail) if role == "cache" else _state_eviction(memory, detail, facts)


def _cache_eviction(memory: MemoryLimit, detail: str) -> Judgement:
    fits = memory.limit > 0 and memory.evicts
    return ("ok" if fits else "warn"), detail, "a cache wants a maxmemory and allkeys-lfu or allkeys-lru"


def _state_eviction(memory: MemoryLimit, detail: str, facts: ServerFacts) -> Judgement:
    if memory.evicts:
        return "fail", detail, "set maxmemory-policy noeviction: an evicted blacklist entry makes a dead token good"
    contained = facts.local.memory_limit if facts.local is not None else None
    if contained and not memory.limit:
        return "fail", f"{detail}, in a container of {mib(contained)}", f"set maxmemory {int(contained * 0.75)}"
    hint = "set a maxmemory below the machine's, with noeviction: else the system kills the server when memory ends"
    return ("ok" if memory.limit else "warn"), detail, hint


@CHECKS.by_info(
    "fail: state server, keys were evicted since it started; warn: clients were", "what was evicted is lost"
)
def _evicted(role: Role, info: Info) -> Judgement:
    keys, clients = int(number(info, "evicted_keys")), int(number(info, "evicted_clients"))
    detail = f"{keys} keys and {clients} clients were evicted since the server started"
    if role == "state" and keys:
        return "fail", detail, "sessions, codes or claims of payments may be lost; set noeviction and more memory"
    return ("warn" if clients else "ok"), detail, "raise maxmemory-clients, or find who reads too slowly: CLIENT LIST"


@CHECKS.add("state: fail over 90 % of maxmemory in use, warn over 80 %", "a full server refuses jobs and logins")
def _room(role: Role, facts: ServerFacts) -> Judgement:
    if "used_memory" not in facts.info:
        return "unknown", "the server does not say how much is in use", "allow +info, or ask as another user"
    used = number(facts.info, "used_memory") - number(facts.info, "mem_not_counted_for_evict")
    limit = facts.memory.limit
    level = above(used / limit, _FILLING, _NEARLY_FULL) if role == "state" and limit else "ok"
    return level, f"{mib(used)} in use", "raise maxmemory soon; hustlex plan tells what an application needs"


@CHECKS.by_info(
    "from 100 MiB on: fail over twice what it holds, or less than it holds (swapped out); warn over 1.5 times",
    "memory that is paid for and holds nothing; a server that swaps is slow by turns",
)
def _fragmentation(_: Role, info: Info) -> Judgement:
    ratio = number(info, "mem_fragmentation_ratio")
    if number(info, "used_memory") < _LOOSE_FROM or not ratio:
        return ok("too little memory in use to tell")
    detail = f"takes {ratio:.2f} times what it holds"
    if ratio < 1:
        return "fail", detail, "a part of it is swapped out: give the machine more memory, or the server less"
    hint = "set activedefrag yes, or restart a replica and fail over to it"
    return above(ratio, _LOOSE_WARN, _LOOSE_FAIL), detail, hint


@CHECKS.add("info: without a limit", "one client that reads slowly can fill the server's memory")
def _client_memory(_: Role, facts: ServerFacts) -> Judgement:
    if facts.settings is None:
        return denied("+config|get")
    limit = facts.settings.get("maxmemory-clients", "")
    return (
        ("ok" if limit.rstrip("%") not in ("0", "") else "info"),
        f"maxmemory-clients {limit or 'not known'}",
        ("set maxmemory-clients 5%"),
    )


@CHECKS.add("cache: info under 20 % (from 1,000 reads on)", "a cache that is seldom right costs more than it brings")
def _hits(role: Role, facts: ServerFacts) -> Judgement | None:
    if role != "cache" or not facts.info:
        return None
    hits, misses = number(facts.info, "keyspace_hits"), number(facts.info, "keyspace_misses")
    if hits + misses < _ENOUGH:
        return ok("too few reads to tell")
    share = hits / (hits + misses)
    hint = "hustlex cache tells which template it is; give it a longer ttl, or none"
    return ("info" if share < _RARE else "ok"), f"{share:.0%} of the reads found something", hint


@CHECKS.by_info("warn: scripts were evicted, or more than 500 are kept", "scripts with values in their text fill it")
def _scripts(_: Role, info: Info) -> Judgement:
    count, evicted = int(number(info, "number_of_cached_scripts")), int(number(info, "evicted_scripts"))
    detail = f"{count} in the server's cache" + (f", {evicted} were evicted" if evicted else "")
    hint = "somebody writes values into the text of scripts; pass them as ARGV"
    return ("warn" if evicted or count > 500 else "ok"), detail, hint


# -- a deep check's: the keys


@CHECKS.add(
    "fail: --deep found a key of ours that never ends", "a key that never ends is a leak, and memory ends one day"
)
def _immortal(_: Role, facts: ServerFacts) -> Judgement | None:
    keys = facts.keys
    if keys is None:
        return None if facts.later is None else denied("+scan +pttl +type +memory|usage")
    some = ", ".join(f"{count} of {pattern}" for pattern, count in keys.immortal.items())
    detail = f"without a time to live, of {keys.looked} keys looked at: {some or 'none that should have one'}"
    return ("fail" if some else "ok"), detail, "did something other than hustlex write or PERSIST them?"


@CHECKS.add(
    "warn: text over 1 MiB, a collection over 10 MiB or 10,000 elements", "it holds up all calls, and failovers"
)
def _large_keys(_: Role, facts: ServerFacts) -> Judgement | None:
    if facts.keys is None:
        return None
    some = ", ".join(facts.keys.large)
    return (
        ("warn" if some else "ok"),
        some or f"none of {facts.keys.looked} keys",
        "store less under one key, or split it",
    )


@CHECKS.add(
    "warn: under our prefix; info: we have no prefix and others use the server",
    "two applications with one prefix read and delete each other's keys",
)
def _foreign_keys(_: Role, facts: ServerFacts) -> Judgement | None:
    if facts.keys is None:
        return None
    some = ", ".join(f"{count} of {pattern}" for pattern, count in facts.keys.foreign.items())
    detail = f"not of hustlex: {some}" if some else f"all of {facts.keys.looked} keys are of hustlex"
    level: Level = "ok" if not some else "warn" if facts.keys.prefixed else "info"
    return level, detail, "give each application a prefix of its own (HUSTLEX_PREFIX)"


@CHECKS.add("warn: one is asked so often that its counter (OBJECT FREQ) is near its end", "one key is one core")
def _hot_keys(_: Role, facts: ServerFacts) -> Judgement | None:
    if facts.keys is None:
        return None
    if facts.keys.hottest is None:
        return ok("not counted: the server counts under an lfu policy alone; hustlex redis monitor shows a sample")
    hot = facts.keys.hottest >= 250
    return ("warn" if hot else "ok"), f"the highest counter is {facts.keys.hottest} of 255", "keep it in a near cache"


@CHECKS.add("cache: info while keys are evicted", "a cache that evicts all the time is too small")
def _eviction_rate(role: Role, facts: ServerFacts) -> Judgement | None:
    count = grown(facts, "evicted_keys")
    if role != "cache" or count is None:
        return None
    rate = count / max(facts.watched_s, 0.001)
    return ("info" if count else "ok"), f"{rate:.0f} keys a second are evicted", "give the cache more memory"
