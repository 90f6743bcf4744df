"""The page of the servers: what fills them, who is there, what was slow, what is kept, and what may not be seen."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
import redis

from hustlex.app import HustleX
from hustlex.dashboard import Dashboard, Operator
from hustlex.diagnostics import ClientGroup, KeyPattern, RoomMemory, connections, contents, lasting
from tests.conftest import PATIENCE, SECRET
from tests.dashboard.conftest import Person, text
from tests.support.console_size import MOST_COMMANDS

PHONE = "+2348031234567"
NAME = "zqxjv"

pytestmark = pytest.mark.one_server


def commands(html: str) -> int:
    found = re.search(r"· (\d+) commands?,", html)
    assert found is not None
    return int(found[1])


async def filled(hx: Any, raw: redis.Redis) -> None:
    await hx.otp.issue(PHONE)
    await hx.tokens.login(NAME, device="Tecno")
    await hx.jobs.enqueue("gig:notify", {"of": NAME}, queue=NAME)
    raw.set(f"wallet:{NAME}", "x" * 100_000)


@pytest.fixture
def settings(raw: redis.Redis) -> Iterator[Callable[..., None]]:
    """Sets some of the server's, until the test ends."""
    before: dict[str, str] = {}

    def change(**wanted: str) -> None:
        for name, value in wanted.items():
            setting = name.replace("_", "-")
            for key, old in raw.config_get(setting).items():
                before.setdefault(key, old)
            raw.config_set(setting, value)

    yield change
    for setting, value in before.items():
        raw.config_set(setting, value)


async def test_it_tells_what_fills_the_server_and_who_is_there(
    hx: Any, raw: redis.Redis, person: Callable[..., Person]
) -> None:
    ada = person("read")
    assert "It holds no key." in (await ada.open("/redis")).text or "were looked at" in ada.shown
    await filled(hx, raw)
    shown = text((await ada.open("/redis")).text)
    for words in ("otp", "tokens", "jobs", "other", "keys were looked at", "Snapshot (RDB)",
                  "Append-only file", "is not counted", "hustlex", "What the doctor finds"):  # fmt: skip
        assert words in shown, words
    assert re.search(r"other 1 9\d\.\d KiB 0 B|other 1 1\d\d\.\d KiB 0 B", shown), "the wallet's memory, exactly"
    told = shown.partition("What the doctor finds")[0]
    assert "*:*" in told and NAME not in told and PHONE[1:] not in shown
    assert commands(ada.shown) <= MOST_COMMANDS and len(ada.shown) < 256 * 1024


async def test_it_tells_which_keys_are_hot_where_that_is_counted(
    hx: Any, raw: redis.Redis, person: Callable[..., Person], settings: Callable[..., None]
) -> None:
    settings(maxmemory_policy="allkeys-lfu")
    await filled(hx, raw)
    shown = text((await person("read").open("/redis")).text)
    assert "Frequency, 0 to 255" in shown and "is not counted" not in shown
    assert NAME not in shown.partition("What the doctor finds")[0]


async def test_slow_calls_are_of_rooms_that_exist_for_the_person(
    hx: Any, raw: redis.Redis, person: Callable[..., Person], settings: Callable[..., None]
) -> None:
    await filled(hx, raw)
    settings(slowlog_log_slower_than="0", slowlog_max_len="1000")
    raw.slowlog_reset()
    await hx.otp.issue(PHONE)
    settings(slowlog_log_slower_than="-1")
    calls = [each.command.script for each in await hx.diagnostics.slowlog(25)]
    assert "otp.issue" in calls
    whole, narrow = person("read"), person("read", rooms=("redis", "jobs"))
    assert "otp.issue otp:{" in text((await whole.open("/redis")).text)
    shown = text((await narrow.open("/redis")).text)
    assert "Slow calls" in shown and "otp" not in shown.partition("What the doctor finds")[0] and "jobs" in shown
    raw.slowlog_reset()
    assert "No call took longer" in (await whole.open("/redis")).text


@pytest.fixture
def limited(url: str, raw: redis.Redis) -> Iterator[Callable[..., str]]:
    """The URL of a user that may do everything but this."""

    def made(*rules: str) -> str:
        raw.execute_command("ACL", "SETUSER", "limited", "reset", "on", ">pw", "~*", "&*", "+@all", *rules)
        parts = urlsplit(url)
        return urlunsplit(parts._replace(netloc=f"limited:pw@{parts.hostname}:{parts.port}"))

    yield made
    raw.execute_command("ACL", "DELUSER", "limited")


@pytest.mark.parametrize(
    ("forbidden", "told", "still"),
    [
        (("-slowlog",), "+slowlog|get", "Who is connected"),
        (("-client|list",), "+client|list", "Slow calls"),
        (("-dbsize",), "+dbsize", "Who is connected"),
        (("-memory|usage",), "+memory|usage", "otp"),
    ],
)
async def test_what_the_user_may_not_ask_is_said_and_the_rest_is_shown(
    hx: Any, raw: redis.Redis, limited: Callable[..., str], forbidden: tuple[str, ...], told: str, still: str
) -> None:
    async def who(_: Any) -> Operator:
        return Operator("read", "ada")

    await filled(hx, raw)
    async with HustleX(limited(*forbidden), secret=SECRET, timeout=PATIENCE) as front:
        ada = Person(Dashboard(front, access=who))
        answer = await ada.open("/redis")
    shown = text(answer.text)
    assert answer.status_code == 200 and told in shown and still in shown
    assert ("lacks +memory|usage" in shown) is (told == "+memory|usage")
    assert commands(answer.text) <= MOST_COMMANDS


@pytest.mark.across_slots  # a cluster has no second database
async def test_of_several_servers_each_has_its_own_page(url: str, raw: redis.Redis) -> None:
    async def who(_: Any) -> Operator:
        return Operator("read", "ada")

    apart = urlunsplit(urlsplit(url)._replace(path="/1"))
    async with HustleX(url, cache_url=apart, secret=SECRET, timeout=PATIENCE) as front:
        await front.cache("user", str, ttl=timedelta(hours=1), timeout=PATIENCE).set("42", "Ada")
        ada = Person(Dashboard(front, access=who))
        for show, told, missing in (
            ("", "State server", "Checks of the servers"),
            ("cache", "keys were looked at", "It holds no key"),
            ("findings", "Checks of the servers", "Who is connected"),
            ("nonsense", "What fills it", "Checks of the servers"),
        ):
            answer = await ada.open(f"/redis?show={show}")
            assert told in text(answer.text) and missing not in text(answer.text), show
            assert commands(answer.text) <= MOST_COMMANDS, show


def test_memory_is_reckoned_with_what_is_not_known() -> None:
    op = contents.sample("", "n:1", 400, "app:", counting=True)
    rows = [[b"app:otp:{x}:login", 100, 9]] * 3 + [[b"strange", 500, 0]]
    found = op.decode([1, 1000, 0, *rows])
    assert (found.node, found.keys, found.looked, found.complete) == ("n:1", 1000, 4, False)
    assert found.rooms == (RoomMemory("other", 250, 125_000, 250_000), RoomMemory("otp", 750, 75_000, 50_000))
    assert found.large == (KeyPattern("*", "other", 1, 500, 0), KeyPattern("app:otp:{x}:*", "otp", 1, 100, 9))
    assert found.hot == found.large[1:]
    asynq = [[b"asynq:{q}:t:1", 100, 9], [b"asynq:{q}:t:2", 300, 2], [b"asynq:{r}:t:1", -1, 7]]
    (alike,) = contents.sample("", "", 9, "", counting=True).decode([1, 3, 1, *asynq]).large
    assert (alike.keys, alike.memory_bytes, alike.frequency) == (3, 300, 9)
    whole = contents.sample("", "", 400, "app:", counting=False).decode([1, 4, 1, *rows])
    assert whole.rooms == (RoomMemory("other", 1, 500, 0), RoomMemory("otp", 3, 300, 0)) and whole.hot is None
    blind = contents.sample("", "", 9, "", counting=False).decode([1, 9, 1, [b"asynq:{q}:pending", -1, -1]])
    assert blind.rooms == (RoomMemory("jobs", 1, None, None),) and blind.large == ()
    assert contents.sample("", "", 9, "", counting=False).decode([1, 0, 1]).rooms == ()


def test_connections_are_grouped_and_a_crowd_is_not_listed() -> None:
    told = [
        {"name": "hustlex", "flags": "N", "idle": "3", "tot-mem": "10"},
        {"name": "hustlex", "flags": "bN", "idle": "70", "tot-mem": "5"},
        {"name": "", "lib-name": "redis-py", "flags": "N", "idle": "x", "tot-mem": ""},
        *({"name": f"worker-{n}", "flags": "N"} for n in range(60)),
    ]
    found = connections.grouped("", told)
    assert found.groups[0] == ClientGroup("hustlex", 2, 1, timedelta(seconds=70), 15)
    assert found.groups[1].name == "redis-py" and (found.connections, found.left_out) == (63, 12)
    crowd = {"connected_clients": "3000"}
    assert not connections.few(crowd) and connections.crowd("", crowd).left_out == 3000


def test_files_and_replicas_are_read_from_what_info_says() -> None:
    info = {
        "role": "master", "master_repl_offset": "1000", "aof_enabled": "1", "aof_last_write_status": "err",
        "aof_current_size": "77", "rdb_last_save_time": "1700000000", "rdb_last_bgsave_time_sec": "2",
        "rdb_last_bgsave_status": "err", "rdb_changes_since_last_save": "5", "latest_fork_usec": "1500",
        "slave0": "ip=10.0.0.2,port=6380,state=online,offset=900,lag=1", "slave1": "ip=::1,port=6381,state=wait_bgsave",
    }  # fmt: skip
    kept = lasting.persistence(info)
    assert (kept.append_only, kept.append_ok, kept.save_ok, kept.append_bytes, kept.unsaved) == (
        True,
        False,
        False,
        77,
        5,
    )
    assert kept.fork == timedelta(microseconds=1500) and kept.save_took == timedelta(seconds=2)
    assert kept.saved_at == datetime.fromisoformat("2023-11-14T22:13:20+00:00")
    first, second = lasting.replication(info)
    assert (first.node, first.state, first.behind_bytes, first.silent) == (
        "10.0.0.2:6380",
        "online",
        100,
        timedelta(seconds=1),
    )
    assert (second.node, second.behind_bytes, second.silent) == ("::1:6381", 0, None)
    assert lasting.source(info) == ("", None)
    replica = {"role": "slave", "master_host": "10.0.0.1", "master_port": "6379", "master_link_status": "down"}
    assert lasting.source(replica) == ("10.0.0.1:6379", False)
    nothing = lasting.persistence({"rdb_last_bgsave_time_sec": "-1"})
    assert nothing.saved_at is None and nothing.save_took is None and nothing.save_ok
