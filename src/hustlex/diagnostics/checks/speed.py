"""Does it answer in time, and what holds it up?"""

from __future__ import annotations

import re
import time
from collections import Counter

from hustlex.diagnostics.asks import fields
from hustlex.diagnostics.checks.check import Checks, Info, Judgement, above, denied, grown, number, ok
from hustlex.diagnostics.facts import ServerFacts
from hustlex.diagnostics.findings import Level, Role
from hustlex.diagnostics.seen import seen

CHECKS = Checks()

_SKEW_WARN_MS, _SKEW_FAIL_MS = 1_000, 30_000
_SLOW_MS, _FAR_MS = 5, 20
_SLOW_CALL_US = 10_000
_STALL_US = 100_000
"""A busy machine makes a short call late; not this late."""
_HOUR_S = 3_600
_EVENT_MS = 100
_SCRIPT_US = 5_000
_BUSY, _FULL = 0.7, 0.9
_MEANINGS = {
    "OOM": "writes were refused for want of memory",
    "READONLY": "somebody writes to a replica",
    "MISCONF": "writes were refused because a save failed",
    "CROSSSLOT": "a call had keys of several slots",
    "LOADING": "calls came while it read its data",
    "NOPERM": "a user may not do what it tries",
    "NOSCRIPT": "scripts were asked for that it had lost",
    "MASTERDOWN": "a replica had lost its primary",
    "CLUSTERDOWN": "slots were not served",
}
_EXPECTED = ("NOSCRIPT",)
"""Each script is refused once after a restart."""
_BLOCKING = ("keys", "flushall", "flushdb", "sort", "monitor")


@CHECKS.add("fail: more than 30 s from this machine's; warn: more than 1 s", "tokens bear both clocks' times")
def _clock(_: Role, facts: ServerFacts) -> Judgement:
    level = above(abs(facts.skew_ms), _SKEW_WARN_MS, _SKEW_FAIL_MS)
    hint = "run NTP on both: tokens bear both clocks' times"
    return level, f"{facts.skew_ms / 1000:+.1f} s from this machine's", hint


@CHECKS.add("fail: half of 100 calls take over 20 ms; warn: one in a hundred over 5 ms", "every call pays this")
def _distance(_: Role, facts: ServerFacts) -> Judgement:
    level: Level = "fail" if facts.round_trip_ms > _FAR_MS else "warn" if facts.slowest_ms > _SLOW_MS else "ok"
    detail = f"{facts.round_trip_ms:.1f} ms, one in a hundred {facts.slowest_ms:.1f} ms"
    return level, detail, "bring the server nearer, or see what else runs on either machine"


@CHECKS.add("fail: a script of hustlex took over 100 ms in the last hour; warn: a command over 10", "all others waited")
def _slowlog(_: Role, facts: ServerFacts) -> Judgement:
    if facts.slow is None:
        return denied("+slowlog|get")
    since = time.time() - facts.skew_ms / 1000 - _HOUR_S
    slow = [each for each in facts.slow if each.took_us > _SLOW_CALL_US and each.at_s > since]
    shown = [(seen(each.words), each.took_us) for each in slow]
    ours = [each for each, us in shown if each.script not in ("", "?") and us > _STALL_US]
    kinds = Counter(f"{each.name} {each.script}".strip() for each, _ in shown)
    worst = max((us for _, us in shown), default=0) / 1000
    some = ", ".join(f"{count} {name}" for name, count in kinds.most_common(3))
    detail = f"{some}: up to {worst:.0f} ms" if some else "nothing over 10 ms in the last hour"
    return (
        ("fail" if ours else "warn" if some else "ok"),
        detail,
        "hustlex redis slowlog shows them; is the machine busy?",
    )


@CHECKS.add("warn: an event over 100 ms in the last hour; info: the monitor is off", "what stops the server, by name")
def _latency(_: Role, facts: ServerFacts) -> Judgement:
    if facts.latency is None:
        return denied("+latency|latest")
    since = time.time() - facts.skew_ms / 1000 - _HOUR_S
    events = [each for each in facts.latency if each.last_ms > _EVENT_MS and each.at_s > since]
    if events:
        return "warn", ", ".join(f"{each.name} {each.last_ms} ms" for each in events), "ask it: LATENCY DOCTOR"
    if (facts.settings or {}).get("latency-monitor-threshold") == "0":
        return "info", "its monitor is off", "set latency-monitor-threshold 50"
    return ok("no event over 100 ms in the last hour")


@CHECKS.by_info("warn: one script call in a hundred takes over 5 ms", "no other call is answered meanwhile")
def _script_times(_: Role, info: Info) -> Judgement:
    times = {
        name.removeprefix("latency_percentiles_usec_"): number(fields(text), "p99")
        for name, text in info.items()
        if re.fullmatch(r"latency_percentiles_usec_(?:eval|evalsha|fcall)(?:_ro)?", name)
    }
    worst = max(times.values(), default=0.0)
    hint = "hustlex redis slowlog names the scripts; a job queue or user with very many entries is a likely cause"
    return ("warn" if worst > _SCRIPT_US else "ok"), f"one in a hundred takes {worst / 1000:.1f} ms", hint


@CHECKS.add(
    "warn: the server refused calls (while it was watched, else since it started)", "refusals that nobody looks at"
)
def _refusals(_: Role, facts: ServerFacts) -> Judgement:
    if not facts.info:
        return denied("+info")
    counts = {}
    for code, meaning in _MEANINGS.items():
        before = number(fields(facts.info.get(f"errorstat_{code}", "")), "count")
        after = number(fields((facts.later or {}).get(f"errorstat_{code}", "")), "count")
        count = after - before if facts.later is not None else 0 if code in _EXPECTED else before
        if count > 0:
            counts[code] = f"{code} {count:.0f} times ({meaning})"
    over = f"in {facts.watched_s:.0f} s" if facts.later is not None else "since it started"
    level: Level = "ok" if not counts else "warn" if facts.later is not None else "info"
    return level, f"{', '.join(counts.values()) or 'none'} {over}", "hustlex doctor --deep tells whether it goes on"


@CHECKS.add("fail: over 90 % of a core while it was watched; warn: over 70 %", "one thread does all the work")
def _busy(_: Role, facts: ServerFacts) -> Judgement | None:
    main = [grown(facts, f"used_cpu_{kind}_main_thread") for kind in ("sys", "user")]
    if main[0] is None or main[1] is None:
        return None
    share = (main[0] + main[1]) / max(facts.watched_s, 0.001)
    ops = number(facts.info, "instantaneous_ops_per_sec")
    hint = "split it: a server for the cache, a cluster, or queues on several servers; hustlex plan counts them"
    return above(share, _BUSY, _FULL), f"{share:.0%} of a core, {ops:.0f} commands a second", hint


@CHECKS.add(
    "warn: KEYS, FLUSHALL, FLUSHDB, SORT or MONITOR was called (while it was watched; else info)",
    "they hold up all other calls, or delete everything",
)
def _blocking_commands(_: Role, facts: ServerFacts) -> Judgement:
    if not facts.info:
        return denied("+info")
    later = facts.later if facts.later is not None else facts.info
    counts = {name: number(fields(later.get(f"cmdstat_{name}", "")), "calls") for name in _BLOCKING}
    if facts.later is not None:
        before = {name: number(fields(facts.info.get(f"cmdstat_{name}", "")), "calls") for name in _BLOCKING}
        counts = {name: count - before[name] for name, count in counts.items()}
    some = ", ".join(f"{name.upper()} {count:.0f} times" for name, count in counts.items() if count)
    level: Level = "ok" if not some else "warn" if facts.later is not None else "info"
    return level, some or "none", "use SCAN; take them from the users: -@dangerous"
