"""``hustlex doctor``: what it says of good and bad servers, and rights that are just enough for each room."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import time
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
import redis
from typer.testing import CliRunner

from hustlex.app import HustleX
from hustlex.cli.doctor import report
from hustlex.cli.main import cli
from hustlex.core.link import ServerLink
from hustlex.core.lua import load
from hustlex.core.memory import MemoryLimit
from hustlex.core.telemetry import CallStart
from hustlex.diagnostics import (
    ROOMS,
    Checkup,
    DoctorFinding,
    KeyFacts,
    LatencyEvent,
    LocalFacts,
    ServerFacts,
    SlowCall,
    UserRules,
    doctor_rights,
    facts,
    job_facts,
    judge,
    places,
    rights,
)
from hustlex.diagnostics.checks import AT_START, CHECKS, ROWS
from hustlex.diagnostics.seen import seen
from hustlex.drivers.blocking import Driver
from hustlex.drivers.embedded import EmbeddedServer
from hustlex.errors import ConfigurationError, Denied, Refused, Unavailable
from hustlex.events import Message
from hustlex.idempotency import Executed, Response, Scope, Started
from hustlex.jobs import Job, Tasks
from hustlex.jobs.explain.types import Cause
from hustlex.jobs.schedule import ops as schedules
from hustlex.pins import PinHashed, PinOk
from hustlex.ratelimit import Policy
from hustlex.sync import HustleX as BlockingHustleX
from hustlex.worker import Worker
from tests.conftest import SECRET
from tests.worker.support import until

BY_THE_MACHINE = {"distance", "slowlog", "latency", "script_times", "fork", "busy", "uptime"}
"""Checks whose result is the machine's that runs the tests."""


@pytest.fixture(autouse=True)
def no_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the machine itself would tell is none of these tests', but for those that write it here."""
    monkeypatch.setattr(places, "ROOT", tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def own_server() -> Iterator[EmbeddedServer]:
    with EmbeddedServer(append_only=True) as server:
        yield server


@pytest.fixture
def own(own_server: EmbeddedServer) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(own_server.url) as raw:
        raw.config_set("maxmemory", "64mb")
        raw.config_set("maxmemory-policy", "noeviction")
        raw.config_set("slowlog-log-slower-than", -1)  # on a busy machine any script may take 10 ms
        raw.flushall()
        yield raw


def doctor(*arguments: str) -> Any:
    return CliRunner().invoke(cli, ["doctor", *arguments])


def levels(result: Any) -> dict[tuple[str, str], str]:
    return {(found["role"], found["check"]): found["level"] for found in json.loads(result.stdout)["findings"]}


def test_a_good_server_passes(own_server: EmbeddedServer, own: redis.Redis, url: str) -> None:
    result = doctor("--url", own_server.url, "--cache-url", url, "--json")
    told, found = json.loads(result.stdout), levels(result)
    failed = {check for (_, check), level in found.items() if level == "fail"}
    assert failed <= BY_THE_MACHINE
    assert (told["ok"], told["unsafe_eviction"], result.exit_code) == (not failed, False, 2 if failed else 0)
    troubles = {check for check, level in found.items() if level not in ("ok", "info")}
    assert {check for check in troubles if check[1] not in BY_THE_MACHINE} == {
        ("state", "rights"),
        ("cache", "rights"),
        ("cache", "eviction"),
    }
    assert found["cache", "separate"] == "ok"


class Reporting(BaseHTTPRequestHandler):
    told = b""

    def do_GET(self) -> None:
        self.send_response(503)
        self.end_headers()
        self.wfile.write(self.told)

    def log_message(self, *_: Any) -> None:
        return None


@pytest.fixture
def process() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Reporting) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://user:hidden@127.0.0.1:{server.server_port}/health"
        server.shutdown()


@pytest.mark.parametrize(
    ("told", "wanted"),
    [
        ({"ok": True, "trouble": {}, "degraded": {}}, [("ok", "works")]),
        ({"ok": True, "trouble": {}, "degraded": {"cache": "off"}}, [("warn", "cache: off"), ("ok", "works")]),
        ({"ok": False, "trouble": {"slots": "all hang"}, "unknown": ["a"]},
         [("fail", "slots: all hang"), ("warn", "it has no handler for a")]),
        ({"ok": False, "trouble": {}, "status": "closed"}, [("fail", "is not at work (closed)")]),
        ([1], [("fail", "what it answers is no report")]),
    ],
)  # fmt: skip
def test_processes_are_asked_for_their_health(
    own_server: EmbeddedServer, own: redis.Redis, process: str, told: Any, wanted: list[tuple[str, str]]
) -> None:
    Reporting.told = json.dumps(told).encode()
    result = doctor("--url", own_server.url, "--health", process, "--json")
    found = [each for each in json.loads(result.stdout)["findings"] if each["role"] == "process"]
    assert [(each["level"], each["detail"]) for each in found] == wanted
    assert result.exit_code == (2 if "fail" in dict(wanted) else 0)
    assert "hidden" not in result.stdout


def test_a_process_that_is_not_there_fails(own_server: EmbeddedServer, own: redis.Redis, unused_tcp_port: int) -> None:
    result = doctor("--url", own_server.url, "--health", f"http://127.0.0.1:{unused_tcp_port}/health")
    assert (result.exit_code, "it does not answer" in result.stdout) == (2, True)
    for wrong in ("127.0.0.1:80", "ftp://x/", "http://", "http://[::1/health"):
        result = doctor("--url", own_server.url, "--health", wrong)
        assert result.exit_code == 2
        assert "Traceback" not in result.output
        assert "--health takes addresses" in " ".join(result.output.split())


@pytest.mark.parametrize("policy", ["volatile-lru", "volatile-ttl", "allkeys-lfu"])
def test_a_state_server_that_evicts_fails(own_server: EmbeddedServer, own: redis.Redis, policy: str) -> None:
    own.config_set("maxmemory-policy", policy)
    result = doctor("--url", own_server.url, "--json")
    assert result.exit_code == 2
    assert json.loads(result.stdout)["unsafe_eviction"] is True
    assert levels(result)["state", "eviction"] == "fail"
    table = doctor("--url", own_server.url)
    assert table.exit_code == 2
    assert policy in table.stdout


def test_strict_makes_warnings_fail_and_json_names_its_schema(own_server: EmbeddedServer, own: redis.Redis) -> None:
    result = doctor("--url", own_server.url, "--strict", "--json")
    assert result.exit_code == 1
    told = json.loads(result.stdout)
    assert told["schema"] == "hustlex.doctor/1"
    assert told["as_of"].endswith("Z")
    assert told["ok"] is True


async def test_the_front_has_the_same_checkup(own_server: EmbeddedServer, own: redis.Redis) -> None:
    """For a console, a readiness probe or a test of a deployment: no command line is needed."""
    async with HustleX(own_server.url) as hx:
        found = await hx.diagnostics.check()
    with BlockingHustleX(own_server.url) as front:
        assert [each.check for each in front.diagnostics.check().findings] == [each.check for each in found.findings]
    assert not found.clean
    warned = [each.check for each in found.findings if each.level == "warn" and each.check not in BY_THE_MACHINE]
    assert warned == ["rights", "separate"]


def test_one_server_for_both_and_no_limit_is_a_warning(own_server: EmbeddedServer, own: redis.Redis) -> None:
    own.config_set("maxmemory", 0)
    result = doctor("--url", own_server.url, "--cache-url", own_server.url, "--json")
    assert result.exit_code == 0
    assert levels(result)["state", "eviction"] == "warn"
    assert levels(result)["cache", "separate"] == "warn"
    assert levels(doctor("--url", own_server.url, "--json"))["cache", "separate"] == "warn"


def test_an_unreachable_server_and_a_bad_url_have_codes_of_their_own() -> None:
    from hustlex.cli.main import exit_code

    unreachable = doctor("--url", "redis://127.0.0.1:1")
    assert isinstance(unreachable.exception, Unavailable)
    assert exit_code(unreachable.exception) == 3
    assert exit_code(doctor("--url", "http://example").exception) == 2


GOOD = ServerFacts(
    info={"valkey_version": "9.1.0", "role": "master", "aof_enabled": "1", "used_memory": "1000"},
    memory=MemoryLimit(10_000, "noeviction"),
    user="hustlex",
    skew_ms=5,
    round_trip_ms=0.2,
    slowest_ms=0.5,
    settings={
        "bind": "10.0.0.1",
        "cluster-require-full-coverage": "no",
        "dir": "/data",
        "latency-monitor-threshold": "50",
        "maxmemory-clients": "5%",
        "min-replicas-to-write": "0",
        "protected-mode": "yes",
        "save": "3600 1",
        "timeout": "0",
    },
    slow=[],
    latency=[],
    clients=[{"idle": "1", "omem": "0", "flags": "N", "lib-name": "hustlex"}],
    rules=UserRules("hustlex", open=False, commands="-@all +get", keys="~app:*"),
    open_default=False,
    missing=[],
    absent={},
)


def changed(facts: ServerFacts, **changes: Any) -> ServerFacts:
    return msgspec.structs.replace(facts, **changes)


def settings(**changes: str) -> dict[str, Any]:
    return {"settings": GOOD.settings | {name.replace("_", "-"): value for name, value in changes.items()}}  # type: ignore[operator]


def link(**changes: Any) -> dict[str, Any]:
    plain = ServerLink("db.example", 6379, "", 0, tls=True, verified=True, password=True, context=lambda: None)
    private = changes.pop("private", True)
    days = changes.pop("days", 90.0)
    return {"link": msgspec.structs.replace(plain, **changes), "private": private, "certificate_days": days}


def keys(**changes: Any) -> dict[str, Any]:
    plain = KeyFacts(100, 100, {}, (), {}, prefixed=True, hottest=None)
    return {"later": GOOD.info, "watched_s": 5.0, "keys": msgspec.structs.replace(plain, **changes)}


def watched(before: dict[str, str], after: dict[str, str]) -> dict[str, Any]:
    return {"info": GOOD.info | before, "later": GOOD.info | before | after, "watched_s": 5.0}


def local(**changes: Any) -> dict[str, Any]:
    plain = LocalFacts(10**12, None, overcommit=True, huge_pages=False)
    return {"local": msgspec.structs.replace(plain, **changes)}


VERIFY = load("hustlex.otp", "verify").sha1
REPLICA = "ip=10.0.0.2,port=6379,state=online,offset=1,lag=1"
RECENT_S = int(time.time())
LARGE = GOOD.info | {"used_memory": str(200 * 2**20), "maxmemory": "0"}


@pytest.mark.parametrize(
    ("check", "level", "changes"),
    [
        ("version", "fail", {"info": GOOD.info | {"valkey_version": "7.1.0"}}),
        ("version", "fail", {"info": {"redis_version": "6.2.14"}}),
        ("version", "ok", {"info": {"redis_version": "7.0.15"}}),
        ("role", "fail", {"info": GOOD.info | {"role": "slave"}}),
        ("eviction", "fail", {"memory": MemoryLimit(1, "")}),
        ("eviction", "warn", {"memory": MemoryLimit(0, "allkeys-lru")}),
        ("room", "warn", {"info": GOOD.info | {"used_memory": "8500"}}),
        ("room", "fail", {"info": GOOD.info | {"used_memory": "9500"}}),
        ("room", "ok", {"info": GOOD.info | {"used_memory": "9500", "mem_not_counted_for_evict": "3000"}}),
        ("persistence", "warn", {"info": GOOD.info | {"aof_enabled": "0"}}),
        ("persistence", "fail", {"info": GOOD.info | {"aof_last_write_status": "err"}}),
        ("clock", "warn", {"skew_ms": -3_000}),
        ("clock", "fail", {"skew_ms": 31_000}),
        ("clock", "warn", {"skew_ms": 1_500}),
        ("distance", "fail", {"round_trip_ms": 40.0}),
        ("distance", "warn", {"slowest_ms": 6.0}),
        ("rights", "warn", {"user": "default"}),
        ("rights", "ok", {"user": ""}),
        ("evicted", "fail", {"info": GOOD.info | {"evicted_keys": "3"}}),
        ("evicted", "warn", {"info": GOOD.info | {"evicted_clients": "1"}}),
        ("fragmentation", "ok", {"info": GOOD.info | {"mem_fragmentation_ratio": "9.5"}}),
        ("fragmentation", "warn", {"info": LARGE | {"mem_fragmentation_ratio": "1.6"}}),
        ("fragmentation", "fail", {"info": LARGE | {"mem_fragmentation_ratio": "2.1"}}),
        ("persistence", "fail", {"info": GOOD.info | {"aof_last_bgrewrite_status": "err"}}),
        ("fork", "warn", {"info": GOOD.info | {"latest_fork_usec": "300000"}}),
        ("fork", "fail", {"info": GOOD.info | {"latest_fork_usec": "1100000"}}),
        ("replicas", "ok", {"info": GOOD.info | {"slave0": "ip=10.0.0.2,port=6379,state=online,offset=1,lag=1"}}),
        ("replicas", "warn", {"info": GOOD.info | {"slave0": "ip=10.0.0.2,port=6379,state=online,offset=1,lag=11"}}),
        ("replicas", "fail", {"info": GOOD.info | {"slave0": "ip=10.0.0.2,port=6379,state=wait_bgsave,lag=0"}}),
        ("replicas", "fail", settings(min_replicas_to_write="1")),
        ("split_brain", "info", {"info": GOOD.info | {"slave0": REPLICA}}),
        (
            "backlog",
            "warn",
            {
                "info": GOOD.info
                | {
                    "slave0": REPLICA,
                    "uptime_in_seconds": "1000",
                    "master_repl_offset": str(10**9),
                    "repl_backlog_size": str(10**6),
                }
            },
        ),
        ("backlog", "ok", watched({"slave0": REPLICA, "repl_backlog_size": str(10**6)}, {"master_repl_offset": "500"})),
        ("persistence", "fail", {"info": GOOD.info | {"aof_enabled": "0"}, **settings(save="")}),
        ("delayed_writes", "warn", watched({"aof_delayed_fsync": "3"}, {"aof_delayed_fsync": "4"})),
        ("delayed_writes", "ok", watched({"aof_delayed_fsync": "3"}, {})),
        (
            "forced_writes",
            "warn",
            {"info": GOOD.info | {"cmdstat_waitaof": "calls=2"}, **settings(appendfsync="everysec")},
        ),
        ("forced_writes", "ok", {"info": GOOD.info | {"cmdstat_waitaof": "calls=2"}, **settings(appendfsync="always")}),
        ("forced_writes", "fail", {"info": GOOD.info | {"cmdstat_waitaof": "calls=2", "aof_enabled": "0"}}),
        ("forced_writes", "unknown", {"info": GOOD.info | {"cmdstat_waitaof": "calls=2"}, "settings": None}),
        ("disk", "fail", local(free_bytes=1_999)),
        ("kernel", "warn", local(overcommit=False)),
        ("kernel", "warn", local(huge_pages=True)),
        ("eviction", "fail", {"memory": MemoryLimit(0, "noeviction"), **local(memory_limit=2**30)}),
        ("fragmentation", "fail", {"info": LARGE | {"mem_fragmentation_ratio": "0.8"}}),
        ("client_memory", "info", settings(maxmemory_clients="0")),
        ("client_memory", "unknown", {"settings": None}),
        ("address", "warn", {"info": GOOD.info | {"cluster_enabled": "1"}} | link()),
        ("address", "ok", {"info": GOOD.info | {"cluster_enabled": "1"}} | link(cluster=True)),
        ("uptime", "info", {"info": GOOD.info | {"uptime_in_seconds": "60"}}),
        ("capabilities", "info", {"absent": {"waitaof": "durability fsync is refused"}}),
        ("capabilities", "unknown", {"absent": None}),
        ("slowlog", "warn", {"slow": [SlowCall(1, RECENT_S, 11_000, (b"KEYS", b"*"), "")]}),
        ("slowlog", "warn", {"slow": [SlowCall(1, RECENT_S, 99_000, (b"EVALSHA", VERIFY.encode(), b"0"), "")]}),
        ("slowlog", "fail", {"slow": [SlowCall(1, RECENT_S, 101_000, (b"EVALSHA", VERIFY.encode(), b"0"), "")]}),
        ("slowlog", "ok", {"slow": [SlowCall(1, RECENT_S - 4_000, 11_000, (b"KEYS", b"*"), "")]}),
        ("slowlog", "unknown", {"slow": None}),
        ("latency", "warn", {"latency": [LatencyEvent("fork", RECENT_S, 101, 101)]}),
        ("latency", "info", settings(latency_monitor_threshold="0")),
        ("latency", "unknown", {"latency": None}),
        (
            "script_times",
            "warn",
            {"info": GOOD.info | {"latency_percentiles_usec_evalsha": "p50=1,p99=5001"}},
        ),
        ("refusals", "info", {"info": GOOD.info | {"errorstat_OOM": "count=2"}}),
        ("refusals", "warn", watched({}, {"errorstat_OOM": "count=2"})),
        ("refusals", "ok", watched({"errorstat_OOM": "count=2"}, {})),
        ("busy", "warn", watched({}, {"used_cpu_sys_main_thread": "1.8", "used_cpu_user_main_thread": "2"})),
        ("busy", "fail", watched({}, {"used_cpu_sys_main_thread": "2.8", "used_cpu_user_main_thread": "2"})),
        ("blocking_commands", "info", {"info": GOOD.info | {"cmdstat_keys": "calls=2,usec=1"}}),
        ("blocking_commands", "warn", watched({"cmdstat_keys": "calls=2"}, {"cmdstat_keys": "calls=3"})),
        ("connections", "warn", {"clients": [{"omem": str(2**21), "flags": "N"}]}),
        ("connections", "info", {"clients": [{"idle": "4000", "flags": "N"}]}),
        ("connections", "info", {"clients": [{"lib-name": "ioredis", "flags": "N"}]}),
        ("connections", "ok", {"clients": [{"idle": "4000", "flags": "P"}]}),
        ("connections", "unknown", {"clients": None}),
        ("cut_off", "info", {"info": GOOD.info | {"client_output_buffer_limit_disconnections": "1"}}),
        ("cut_off", "warn", watched({}, {"client_output_buffer_limit_disconnections": "1"})),
        ("timeout", "warn", settings(timeout="20")),
        ("timeout", "unknown", {"settings": None}),
        ("rights", "warn", {"rules": UserRules("u", open=False, commands="+@all -@write", keys="~*")}),
        ("rights", "warn", {"rules": UserRules("u", open=False, commands="-@all +@admin", keys="~app:*")}),
        ("commands", "fail", {"missing": ["blmove"]}),
        ("commands", "unknown", {"missing": None}),
        ("password", "fail", link(password=False)),
        ("password", "fail", {**link(), "open_default": True}),
        ("password", "unknown", {**link(), "open_default": None}),
        ("exposed", "fail", {"open_default": True, **settings(protected_mode="no", bind="*")}),
        ("exposed", "unknown", {"open_default": None}),
        ("tls", "ok", link()),
        ("tls", "ok", link(tls=False)),
        ("tls", "fail", link(tls=False, private=False)),
        ("tls", "fail", link(verified=False)),
        ("tls", "warn", link(days=20.0)),
        ("tls", "unknown", link(days=None)),
        ("immortal", "fail", keys(immortal={"otp:{*}:*": 3})),
        ("immortal", "unknown", {"later": GOOD.info}),
        ("large_keys", "warn", keys(large=("cache:*:* (2.0 MiB)",))),
        ("foreign_keys", "warn", keys(foreign={"app:*:*": 3})),
        ("foreign_keys", "info", keys(foreign={"*:*": 3}, prefixed=False)),
        ("hot_keys", "warn", keys(hottest=255)),
        ("hot_keys", "ok", keys(hottest=20)),
        ("clients", "warn", {"info": GOOD.info | {"connected_clients": "81", "maxclients": "100"}}),
        ("clients", "fail", {"info": GOOD.info | {"rejected_connections": "1"}}),
        ("scripts", "warn", {"info": GOOD.info | {"number_of_cached_scripts": "501"}}),
        ("scripts", "warn", {"info": GOOD.info | {"evicted_scripts": "1"}}),
        ("version", "unknown", {"info": {}}),
        ("room", "unknown", {"info": {}}),
    ],
)
def test_each_check_finds_its_fault(check: str, level: str, changes: dict[str, Any]) -> None:
    assert {finding.level for finding in judge("state", GOOD)} == {"ok"}
    found = {finding.check: finding for finding in judge("state", changed(GOOD, **changes))}
    assert found[check].level == level
    assert bool(found[check].hint) == bool(found[check].why) == bool(found[check].limit) == (level != "ok")


@pytest.mark.parametrize(
    ("check", "level", "changes"),
    [
        ("eviction", "warn", {}),
        ("hits", "info", {"info": GOOD.info | {"keyspace_hits": "100", "keyspace_misses": "900"}}),
        ("hits", "ok", {"info": GOOD.info | {"keyspace_hits": "900", "keyspace_misses": "100"}}),
        ("near_caches", "info", {"info": GOOD.info | {"tracking_clients": "2", "tracking_total_prefixes": "0"}}),
        ("near_caches", "ok", {"info": GOOD.info | {"tracking_clients": "2", "tracking_total_prefixes": "1"}}),
        ("eviction_rate", "info", watched({}, {"evicted_keys": "50"})),
        ("persistence", "ok", {"info": GOOD.info | {"aof_enabled": "0"}}),
    ],
)
def test_a_cache_has_checks_of_its_own(check: str, level: str, changes: dict[str, Any]) -> None:
    found = {finding.check: finding for finding in judge("cache", changed(GOOD, **changes))}
    assert found[check].level == level


def test_each_check_has_a_case() -> None:
    """And a row in the guide."""
    cases = Path(__file__).read_text("utf-8")
    guide = (Path(__file__).parents[2] / "docs/guides/doctor.md").read_text("utf-8")
    assert [check.name for check in CHECKS if not re.search(rf'\(\s*"{check.name}",', cases)] == []
    rows = re.findall(r"^\| ([a-z_]+) \| (.+) \|$", guide, re.MULTILINE)
    limits = {check.name: check.limit for check in CHECKS} | {name: limit for name, (limit, _) in ROWS.items()}
    assert {name: limit for name, limit in rows if name in limits} == limits


def test_what_a_server_says_of_itself_is_shown_and_not_obeyed(capsys: pytest.CaptureFixture[str]) -> None:
    found = DoctorFinding("state", "version", "ok", "redis [red]9[/red] \x1b]0;x\x07")
    report(Checkup((found,), unsafe_eviction=False), as_json=False)
    assert r"redis [red]9[/red] \x1b]0;x\x07" in " ".join(capsys.readouterr().out.split())


# -- rights


def test_rights_are_read_from_the_rooms() -> None:
    families = {room: {pattern.partition(":")[0] for pattern in rights((room,)).keys} for room in ROOMS}
    known = {
        "otp": {"otp"},
        "tokens": {"jwt", "session", "sessions", "dpop"},
        "ratelimit": {"ratelimit"},
        "idempotency": {"idem", "webhook"},
        "pins": {"pin"},
        "cache": {"cache", "cl", "cs", "ct", "cv"},
        "events": {"ev"},
        "jobs": {"asynq"},
    }
    assert all(families[room] <= known[room] for room in ROOMS), families
    assert {
        "otp",
        "jwt",
        "session",
        "sessions",
        "ratelimit",
        "idem",
        "webhook",
        "pin",
        "cache",
        "cl",
        "ct",
        "cv",
        "ev",
        "asynq",
    } <= set().union(*families.values())
    assert {"evalsha", "eval", "time", "hmget"} <= set(rights(("otp",)).commands)
    assert {"wait", "waitaof"} <= set(rights(("idempotency",)).commands)
    assert {"llen", "zcard", "blmove", "zrange"} <= set(rights(("jobs",)).commands), "also where Lua chooses a command"
    assert rights(("otp",), "app:").keys == ("app:otp:*",)
    assert rights(("events",), "app:").channels == ("app:ev:*",)


def fit(own: redis.Redis, rules: list[str]) -> list[str]:
    """The rules that this server knows, as the guide says."""
    info = own.info("server")
    old = "valkey_version" not in info and info["redis_version"].startswith("7.0.")
    return [rule for rule in rules if not (old and rule in ("+client|setinfo", "+waitaof"))]


def test_the_rights_are_printed(own: redis.Redis) -> None:
    printed = doctor("--acl")
    assert "Redis 7.0" in printed.stderr
    lines = [line for line in printed.stdout.splitlines() if line]
    assert len(lines) == len(ROOMS) + 2
    for line in lines:
        assert own.execute_command(*fit(own, line.replace(">PASSWORD", ">p").split())) == b"OK"
        own.acl_deluser(line.split()[2])
    assert json.loads(doctor("--acl", "--json").stdout)["rules"].keys() == {*ROOMS, "all", "doctor"}


@pytest.mark.parametrize("prefix", ["a*", "a?b", "a[b]", "a\\\\", "a ~* +@all ", "a'b\"", "é:"])
def test_the_rights_of_a_prefix_are_those_of_its_keys_alone(own: redis.Redis, prefix: str) -> None:
    """Whatever characters are in it: neither a pattern that others' keys fit, nor another word of the rule."""

    def may(name: str, key: str) -> bool:
        return own.execute_command("ACL", "DRYRUN", name, "GET", key) in (b"OK", "OK", True)

    own.execute_command(
        "ACL", "SETUSER", "prefixed", "reset", "on", ">pw", *fit(own, rights(("cache",), prefix).rules())
    )
    assert may("prefixed", f"{prefix}cache:user:1")
    assert not may("prefixed", "axxcache:user:1") and not may("prefixed", "cache:user:1")
    words = [word for word in rights(("cache",), prefix).rules() if word.startswith(("~", "+@"))]
    assert len(shlex.split(" ".join(words).replace("\\", "/"))) == len(words)
    assert not any(word.startswith("+@") for word in words)
    own.acl_deluser("prefixed")


def as_user(own_server: EmbeddedServer, own: redis.Redis, *rooms: str) -> str:
    """The server's URL for a user with the rights of these rooms alone."""
    own.execute_command("ACL", "SETUSER", "least", "reset", "on", ">pw", *fit(own, rights(rooms, "app:").rules()))
    parts = urlsplit(own_server.url)
    return f"redis://least:pw@{parts.hostname}:{parts.port}/0"


async def otp(hx: Any) -> None:
    issued = await hx.otp.issue("+2348031234567")
    delivery = await hx.otp.open(issued.challenge)
    await hx.otp.resend(issued.challenge)
    await hx.otp.verify(issued.challenge, "000000")
    verified = await hx.otp.verify(issued.challenge, delivery.code)
    await hx.otp.consume_grant(verified.grant, "login")
    await hx.otp.cancel(issued.challenge)


async def tokens(hx: Any) -> None:
    pair = await hx.tokens.login("u1", client_id="app")
    await hx.tokens.check(pair.access)
    await hx.tokens.refresh(pair.refresh, client_id="app")
    await hx.tokens.sessions("u1")
    await hx.tokens.logout(pair.access)
    await hx.tokens.revoke_all("u1")


async def ratelimit(hx: Any) -> None:
    for algorithm in ("counter", "log"):
        policy = Policy("p", 5, timedelta(minutes=1), algorithm)
        await hx.ratelimit.check(policy, "u1", endpoint="/")
        await hx.ratelimit.peek(policy, "u1", endpoint="/")
        await hx.ratelimit.reset(policy, "u1", endpoint="/")


async def idempotency(hx: Any) -> None:
    async def pay(started: Started) -> Response:
        await hx.idempotency.renew(started, point="charging")
        return Response(200)

    outcome = await hx.idempotency.run("k1", Scope("u1", "POST", "/pay"), pay)
    assert isinstance(outcome, Executed)
    assert outcome.recorded
    started = await hx.idempotency.begin("k2", Scope("u1", "POST", "/pay"))
    await hx.idempotency.abandon(started)


async def pins(hx: Any) -> None:
    hashed = await hx.pins.hash("u1", "4821")
    assert isinstance(hashed, PinHashed)
    await hx.pins.verify("u1", "4822", hashed.verifier)
    assert isinstance(await hx.pins.verify("u1", "4821", hashed.verifier), PinOk)
    await hx.pins.reset("u1")


async def cache(hx: Any) -> None:
    users = hx.cache("user", str, ttl=timedelta(minutes=1), timeout=timedelta(seconds=5))

    async def load() -> str:
        return "Ada"

    await users.get_or_compute("1", load)
    assert await users.get("1") == "Ada"
    await users.lookup("1")
    await users.delete("1")
    options: Any = {"ttl": timedelta(minutes=1), "timeout": timedelta(seconds=5)}
    tagged = hx.cache("gig", str, value_tags=lambda _: ["org:7"], **options)
    await tagged.get_or_compute("1", load)
    await tagged.invalidate_tags("org:7")
    await tagged.clear(soft=True)
    assert await hx.cache.inspector.fleet() == {}
    near = hx.cache("near", str, near=timedelta(minutes=1), **options)
    async with asyncio.timeout(50):
        while not near.stats().requests.get("near"):
            await near.get_or_compute("1", load)


async def jobs(hx: Any) -> None:
    work, ran = Tasks(), asyncio.Event()

    @work.task("ping")
    async def ping() -> None:
        ran.set()

    await hx.jobs.enqueue(ping.job())
    worker = Worker(hx.driver, work, queues={"default": 1})
    running = asyncio.ensure_future(worker.run())
    async with asyncio.timeout(60):
        await ran.wait()
    worker.stop()
    await running


@pytest.mark.parametrize("room", [otp, tokens, ratelimit, idempotency, pins, cache, jobs])
async def test_a_room_works_with_its_own_rights_and_no_others(
    own_server: EmbeddedServer, own: redis.Redis, room: Any
) -> None:
    own.acl_log_reset()
    address = as_user(own_server, own, room.__name__)
    async with HustleX(address, secret=SECRET, prefix="app:", strict_memory=True) as hx:
        await room(hx)
        assert own.acl_log() == []
        with pytest.raises(Denied):
            await (tokens(hx) if room is not tokens else pins(hx))


async def test_events_are_published_and_heard_with_their_own_rights(
    own_server: EmbeddedServer, own: redis.Redis
) -> None:
    address = as_user(own_server, own, "events")
    async with HustleX(address, prefix="app:") as hx:
        orders = hx.events.channel("orders:{order_id}", int)
        async with orders.subscribe(order_id=1) as messages:
            await orders.publish(5, order_id=1)
            heard = await anext(messages)
    assert isinstance(heard, Message)
    assert heard.data == 5


def test_the_doctor_examines_as_a_limited_user(own_server: EmbeddedServer, own: redis.Redis) -> None:
    with Driver(as_user(own_server, own, "otp")) as driver:
        found = driver.follow(facts.of_server())
    assert found.user == ""
    assert found.memory == MemoryLimit(64 * 2**20, "noeviction")


def test_the_blocking_driver_works_with_the_same_rights(own_server: EmbeddedServer, own: redis.Redis) -> None:
    address = as_user(own_server, own, "idempotency")
    with BlockingHustleX(address, secret=SECRET, prefix="app:") as hx:
        assert isinstance(hx.idempotency.begin("k1", Scope("u1", "POST", "/pay")), Started)


# What it says of the jobs.


def told(own_server: EmbeddedServer) -> dict[str, tuple[str, str]]:
    found = json.loads(doctor("--url", own_server.url, "--json").stdout)["findings"]
    return {each["check"]: (each["level"], each["detail"]) for each in found if each["role"] == "state"}


def test_entries_that_cannot_fire_are_named_and_refused_ones_counted(
    own_server: EmbeddedServer, own: redis.Redis
) -> None:
    with BlockingHustleX(own_server.url) as hx:
        hx.jobs.schedules.add("daily", "@daily", Job("t"))
        own.hset("asynq:x:{schedules}:entries", "never", b'{"spec":"0 0 30 2 *","type":"t"}')
        hx.driver.run(schedules.note_refused({"report": "its id or its lock is taken"}, 0))
        hx.driver.run(schedules.note_refused({"report": "its queue is full"}, 0))
    found = told(own_server)
    level, detail = found["schedules"]
    assert level == "warn" and "'never'" in detail and "daily" not in detail
    assert found["refused"][0] == "warn" and "'report' 2 times" in found["refused"][1]
    assert "its queue is full" in found["refused"][1]
    own.flushall()
    found = told(own_server)
    assert {found[check][0] for check in ("schedules", "refused", "queues", "types")} == {"ok"}


async def test_orphans_are_named(own_server: EmbeddedServer, own: redis.Redis) -> None:
    """A queue that no worker serves, and a type that those who serve its queue do not know."""
    async with HustleX(own_server.url) as hx:
        for queue, options in (("defualt", {}), ("later", {"process_in": timedelta(hours=1)}), ("served", {})):
            await hx.jobs.enqueue("refund", queue=queue, **options)
        own.hset("asynq:{broken}:pending", "a", "b")
        own.sadd("asynq:queues", "broken", "empty")
        async with Worker(hx.driver, Tasks(), queues={"served": 1, "default": 1}) as worker:
            await until(lambda: worker.health.unknown == ("refund",))
            await until(lambda: own.zcard("asynq:{served}:scheduled"))
            found = await asyncio.to_thread(told, own_server)
    assert found["queues"] == ("warn", "no living worker serves 'defualt' (1 tasks), 'later' (1 tasks)")
    assert found["types"] == ("warn", "no living worker has handlers for 'refund' in 'served'")


async def test_a_type_that_no_living_worker_serves_is_named_before_anybody_takes_it(
    own_server: EmbeddedServer, own: redis.Redis
) -> None:
    """Each worker tells its types with its heartbeat; of one that does not, as Go's, nothing is claimed."""
    tasks = Tasks()

    @tasks.task("known")
    async def known() -> None: ...

    @tasks.task("mail:", prefix=True)
    async def mail() -> None: ...

    own.set("asynq:{q}:paused", "1")
    async with HustleX(own_server.url) as hx:
        waiting = {kind: await hx.jobs.enqueue(kind, queue="q") for kind in ("known", "mail:welcome", "refund")}
        async with Worker(hx.driver, tasks, queues={"q": 1}) as worker:
            await until(lambda: own.keys("asynq:x:types:*"))
            found = await asyncio.to_thread(told, own_server)
            (server,) = await hx.jobs.inspector.servers()
            causes = {kind: (await hx.jobs.explain(one.or_raise().id)).causes for kind, one in waiting.items()}
            assert not worker.health.unknown
            (key,) = own.keys("asynq:x:types:*")
            assert 0 < own.ttl(key) <= 20
            own.delete(key)  # as if Go's worker were there
            silent = await asyncio.to_thread(told, own_server)
    assert found["types"] == ("warn", "no living worker has handlers for 'refund' in 'q'")
    assert server.served is not None
    assert (server.served.types, server.served.prefixes, server.served.more) == (("known",), ("mail:",), False)
    assert {kind for kind, why in causes.items() if Cause.UNKNOWN_TYPE in why} == {"refund"}
    level, text = silent["types"]
    assert level == "ok" and text.endswith("as far as workers tell: not of 'known', 'mail:welcome', 'refund'")
    assert not own.keys("asynq:x:types:*"), "a worker that left tells nothing"


def test_the_doctor_is_silent_about_jobs_that_its_user_may_not_see(
    own_server: EmbeddedServer, own: redis.Redis
) -> None:
    with Driver(as_user(own_server, own, "otp")) as driver:
        assert driver.follow(job_facts.of_jobs()) is None
    with Driver(as_user(own_server, own, "jobs")) as driver:
        assert driver.follow(job_facts.of_jobs()) is not None


# A deep check, and what may be asked.


def test_a_deep_check_finds_leaks_large_and_foreign_keys_and_shows_none_of_them(
    own_server: EmbeddedServer, own: redis.Redis
) -> None:
    with BlockingHustleX(own_server.url, secret=SECRET, prefix="app:") as hx:
        hx.otp.issue("+2348031234567")
        hx.jobs.enqueue("t")
        own.persist(next(own.scan_iter("app:otp:*")))
        own.set("app:users:ada", "x")
        own.set("app:cache:basket:ada", bytes(2**20 + 1), ex=60)
        own.hset("app:session:{ada}:x", mapping={str(number): "x" * 9 for number in range(10_001)})
        own.expire("app:session:{ada}:x", 60)
        own.config_set("maxmemory-policy", "allkeys-lfu")
        found = hx.diagnostics.check(deep=True, watch=timedelta(milliseconds=5))
    named = {each.check: each for each in found.findings if each.role == "state"}
    assert named["immortal"].level == "fail" and "1 of app:otp:{" in named["immortal"].detail
    assert (named["foreign_keys"].level, named["foreign_keys"].detail) == ("warn", "not of hustlex: 1 of app:*:*")
    assert "app:cache:*:* (1." in named["large_keys"].detail
    assert "10001 elements" in named["large_keys"].detail
    assert named["hot_keys"].level == "ok" and "of 255" in named["hot_keys"].detail
    assert {named[check].level for check in ("delayed_writes", "blocking_commands", "refusals")} == {"ok"}
    assert "ada" not in repr(found) and "2348031" not in repr(found)


def test_a_deep_check_may_be_asked_for_at_the_command_line(own_server: EmbeddedServer, own: redis.Redis) -> None:
    own.set("x:1", "1")
    result = doctor("--url", own_server.url, "--deep", "--seconds", "0", "--keys", "5", "--json")
    assert levels(result)["state", "foreign_keys"] == "info", "without a prefix all others are only worth knowing"
    assert levels(result)["state", "immortal"] == "ok"


def test_where_config_is_forbidden_what_needs_it_is_unknown_and_the_rest_is_judged(
    own_server: EmbeddedServer, own: redis.Redis
) -> None:
    own.execute_command("ACL", "SETUSER", "hosted", "reset", "on", ">pw", "~*", "&*", "+@all", "-config", "-slowlog")
    parts = urlsplit(own_server.url)
    result = doctor("--url", f"redis://hosted:pw@{parts.hostname}:{parts.port}/0", "--json")
    found = levels(result)
    unknown = {check for (_, check), level in found.items() if level == "unknown"}
    assert unknown == {"client_memory", "timeout", "exposed", "slowlog"}
    assert found["state", "commands"] == "ok"
    hints = {each["check"]: each["hint"] for each in json.loads(result.stdout)["findings"]}
    assert "+config|get" in hints["timeout"]


def test_the_rights_of_the_doctor_are_enough_for_every_check_and_write_nothing(
    own_server: EmbeddedServer, own: redis.Redis
) -> None:
    own.execute_command("ACL", "SETUSER", "looks", "reset", "on", ">pw", *fit(own, doctor_rights("app:").rules()))
    parts = urlsplit(own_server.url)
    with BlockingHustleX(f"redis://looks:pw@{parts.hostname}:{parts.port}/0", prefix="app:") as hx:
        found = hx.diagnostics.check(deep=True, watch=timedelta(0))
        with pytest.raises(Refused):
            hx.jobs.enqueue("t")
    assert {each.check for each in found.findings if each.level == "unknown"} == set()
    lacking = next(each for each in found.findings if each.check == "commands")
    assert lacking.level == "fail" and "blmove" in lacking.detail, "it is no user for the application"


def test_a_server_of_this_machine_tells_of_disk_and_kernel(
    own_server: EmbeddedServer, own: redis.Redis, no_machine: Path
) -> None:
    process = no_machine / "proc" / str(own.info("server")["process_id"])
    for path, text in {
        process / "comm": "valkey-server",
        process / "cgroup": "0::/app",
        no_machine / "sys/fs/cgroup/app/memory.max": str(2**30),
        no_machine / "proc/sys/vm/overcommit_memory": "0",
        no_machine / "sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never",
    }.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    own.config_set("maxmemory", 0)
    found = told(own_server)
    assert found["eviction"] == (
        "fail",
        "maxmemory unlimited, maxmemory-policy noeviction, in a container of 1,024 MiB",
    )
    assert found["kernel"] == ("warn", "vm.overcommit_memory is not 1")
    assert found["disk"][0] == "ok" and "MiB free" in found["disk"][1]


def test_one_server_split_by_database_fails(own_server: EmbeddedServer, own: redis.Redis) -> None:
    other = own_server.url.removesuffix("/0") + "/1"
    assert levels(doctor("--url", own_server.url, "--cache-url", other, "--json"))["cache", "separate"] == "fail"


def test_what_waits_and_what_was_given_up_is_told(own_server: EmbeddedServer, own: redis.Redis) -> None:
    with BlockingHustleX(own_server.url) as hx:
        job = hx.jobs.enqueue("t", queue="q").or_raise()
    own.hset(f"asynq:{{q}}:t:{job.id}", "pending_since", int((time.time() - 600) * 1e9))
    own.zadd("asynq:{q}:lease", {"gone": time.time() - 60, "held": time.time() + 20})
    own.zadd("asynq:{q}:archived", {str(number): number for number in range(1_000)})
    found = told(own_server)
    assert found["waiting"] == ("warn", "tasks wait in 'q' for 10 minutes")
    assert found["lost"] == ("warn", "workers died and nobody took their tasks back: 'q' (1)")
    assert found["archived"] == ("warn", "many tasks were given up in 'q' (1000)")


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ([b"SET", b"otp:{abc}:login", b"123456"], ("SET", "", "otp:{*}:*")),
        ([b"CONFIG", b"SET", b"requirepass", b"secret"], ("CONFIG SET", "", "")),
        ([b"AUTH", b"secret"], ("AUTH", "", "")),
        ([b"MEMORY", b"USAGE", b"app:cache:basket:ada"], ("MEMORY USAGE", "", "app:cache:*:*")),
        ([b"EVALSHA", VERIFY.encode(), b"1", b"otp:{abc}:login", b"1"], ("EVALSHA", "otp.verify", "otp:{*}:*")),
        ([b"EVALSHA", b"0" * 40, b"0", b"secret"], ("EVALSHA", "?", "")),
        ([b"EVAL", b"return 'secret'", b"1", b"secret"], ("EVAL", "?", "*")),
        ([b"secret words", b"secret"], ("?", "", "*")),
        ([], ("?", "", "")),
    ],
)
def test_of_a_command_only_words_of_ours_are_shown(words: list[bytes], shown: tuple[str, str, str]) -> None:
    found = seen(words, "app:")
    assert (found.name, found.script, found.key) == shown


async def test_a_starting_process_asks_for_what_matters_and_logs_it(
    own_server: EmbeddedServer, own: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    trips = 0

    def hook(_: CallStart) -> None:
        nonlocal trips
        trips += 1

    own.config_set("maxmemory-policy", "allkeys-lru")
    async with HustleX(own_server.url, hook=hook) as hx:
        found = await hx.diagnostics.self_check()
        assert trips <= 3
        with pytest.raises(ConfigurationError, match=r"state eviction: maxmemory .*allkeys-lru"):
            await hx.diagnostics.self_check(strict=True)
    assert found.unsafe_eviction and not found.ok
    assert {each.check for each in found.findings} <= AT_START
    assert "state eviction" in caplog.text
    own.config_set("maxmemory-policy", "noeviction")
    with BlockingHustleX(own_server.url, cache_url=own_server.url) as front:
        found = front.diagnostics.self_check(strict=True)
    assert found.ok and {each.role for each in found.findings} == {"state", "cache"}
    caplog.clear()
    parts = urlsplit(own_server.url)
    with BlockingHustleX(f"redis://:wrong@{parts.hostname}:{parts.port}/0") as front, pytest.raises(Denied):
        front.diagnostics.self_check()
