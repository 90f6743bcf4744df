"""Does what was written stay: on the disk, and on replicas?"""

from __future__ import annotations

import re

from hustlex.diagnostics.asks import fields
from hustlex.diagnostics.checks.check import Checks, Info, Judgement, above, denied, grown, mib, number, ok
from hustlex.diagnostics.facts import ServerFacts
from hustlex.diagnostics.findings import Role

CHECKS = Checks()

_FORK_WARN_MS, _FORK_FAIL_MS = 200, 1_000
_LAG_S = 10
_BACKLOG_S = 60
_WRITES = ("aof_last_write_status", "aof_last_bgrewrite_status", "rdb_last_bgsave_status")


@CHECKS.add(
    "state: fail when the last write, rewrite or save failed, or when neither the append-only file nor snapshots are "
    "on; warn without the append-only file",
    "a restart would log users out and lose jobs",
)
def _persistence(role: Role, facts: ServerFacts) -> Judgement:
    info = facts.info
    if not info:
        return denied("+info")
    appends = info.get("aof_enabled") == "1"
    broken = [name for name in _WRITES if info.get(name) == "err"]
    detail = f"append-only file {'on' if appends else 'off'}" + "".join(f", {name} err" for name in broken)
    if role == "cache":
        return ok(detail)
    if broken:
        return "fail", detail, "the server cannot write to its disk; look at its log"
    if not appends and (facts.settings or {}).get("save") == "":
        return "fail", f"{detail}, no snapshots", "appendonly yes: as it is, a restart loses everything"
    return ("ok" if appends else "warn"), detail, "appendonly yes: else a restart logs users out and loses jobs"


@CHECKS.add("warn: a write waited for the disk while it was watched", "the disk is too slow for what is written")
def _delayed_writes(role: Role, facts: ServerFacts) -> Judgement | None:
    count = grown(facts, "aof_delayed_fsync")
    if role == "cache" or count is None:
        return None
    detail = f"{count:.0f} in {facts.watched_s:.0f} s"
    return ("warn" if count else "ok"), detail, "use a faster disk, or no-appendfsync-on-rewrite yes"


@CHECKS.add(
    "warn: calls wait for the disk (WAITAOF), which is forced once a second; fail: there is no append-only file",
    "each such call takes up to a second, or cannot be made",
)
def _forced_writes(role: Role, facts: ServerFacts) -> Judgement | None:
    calls = number(fields(facts.info.get("cmdstat_waitaof", "")), "calls")
    if role == "cache" or not facts.info:
        return None
    if not calls:
        return ok("nobody waits for the disk")
    detail = f"{calls:.0f} times somebody waited for the disk"
    if facts.info.get("aof_enabled") != "1":
        return "fail", detail, "appendonly yes"
    if facts.settings is None:
        return denied("+config|get")
    policy = facts.settings.get("appendfsync", "")
    return ("ok" if policy == "always" else "warn"), f"{detail}, appendfsync {policy}", "set appendfsync always"


@CHECKS.by_info("fail: the last save stopped all calls for over 1 s; warn: over 200 ms", "every save does it again")
def _fork(_: Role, info: Info) -> Judgement:
    pause_ms = number(info, "latest_fork_usec") / 1000
    hint = "every save stops all calls that long: use less memory per server, and turn transparent huge pages off"
    return above(pause_ms, _FORK_WARN_MS, _FORK_FAIL_MS), f"the last one took {pause_ms:.0f} ms", hint


@CHECKS.add(
    "here: fail when less is free than twice the memory in use", "rewriting the append-only file needs room for a copy"
)
def _disk(role: Role, facts: ServerFacts) -> Judgement | None:
    free = facts.local.free_bytes if facts.local is not None else None
    if role == "cache" or free is None:
        return None
    used = number(facts.info, "used_memory")
    hint = "free room on it, or move the server's dir to a larger one"
    return ("fail" if free < 2 * used else "ok"), f"{mib(free)} free on its disk", hint


@CHECKS.add("here: warn when a fork may not overcommit memory, or huge pages are on", "saves fail, or take long")
def _kernel(_: Role, facts: ServerFacts) -> Judgement | None:
    local = facts.local
    if local is None or (local.overcommit is None and local.huge_pages is None):
        return None
    wrong = ["vm.overcommit_memory is not 1"] if local.overcommit is False else []
    wrong += ["transparent huge pages are on"] if local.huge_pages else []
    hint = "sysctl vm.overcommit_memory=1; echo madvise > /sys/kernel/mm/transparent_hugepage/enabled"
    return ("warn" if wrong else "ok"), ", ".join(wrong) or "overcommit on, huge pages off", hint


# -- replicas


@CHECKS.add(
    "fail: one is out of step, or min-replicas-to-write asks for more than there are; warn: more than 10 s behind",
    "a failover loses what they do not have",
)
def _replicas(_: Role, facts: ServerFacts) -> Judgement:
    if not facts.info:
        return denied("+info")
    found = _found(facts.info)
    off = [each for each in found if each.get("state") != "online"]
    late = [each for each in found if number(each, "lag") > _LAG_S]
    wanted = int(number(facts.settings or {}, "min-replicas-to-write"))
    detail = f"{len(found)} replicas, {len(off)} of them not in step, {len(late)} more than {_LAG_S} s behind"
    if wanted > len(found) - len(off):
        return "fail", f"{detail}; min-replicas-to-write {wanted}", "start them: until then every write is refused"
    hint = "a failover would lose what they do not have; look at their links"
    return ("fail" if off else "warn" if late else "ok"), detail, hint


@CHECKS.add(
    "info: min-replicas-to-write is 0, though there are replicas",
    "a primary that is cut off takes writes that are lost later",
)
def _split_brain(role: Role, facts: ServerFacts) -> Judgement | None:
    if role == "cache" or not _found(facts.info):
        return None
    if facts.settings is None:
        return denied("+config|get")
    count = facts.settings.get("min-replicas-to-write", "0")
    hint = "with two replicas or more: min-replicas-to-write 1, min-replicas-max-lag 10"
    return ("info" if count == "0" else "ok"), f"min-replicas-to-write {count}", hint


@CHECKS.add("warn: holds less than 60 s of what is written", "a replica that was away for longer copies everything")
def _backlog(_: Role, facts: ServerFacts) -> Judgement | None:
    info = facts.info
    if not _found(info):
        return None
    written = grown(facts, "master_repl_offset")
    seconds = facts.watched_s if written is not None else number(info, "uptime_in_seconds")
    rate = (written if written is not None else number(info, "master_repl_offset")) / max(seconds, 1)
    size = number(info, "repl_backlog_size")
    holds = size / rate if rate else float("inf")
    detail = f"{mib(size)} for {rate / 1024:.0f} KiB a second"
    return ("warn" if holds < _BACKLOG_S else "ok"), detail, f"set repl-backlog-size {int(rate * _BACKLOG_S * 2)}"


def _found(info: Info) -> list[dict[str, str]]:
    return [fields(text) for name, text in info.items() if re.fullmatch(r"slave\d+", name)]
