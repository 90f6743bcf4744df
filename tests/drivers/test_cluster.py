"""A cluster of six nodes behind either driver: keys everywhere, slots that move, nodes that die."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hustlex._sync.diagnostics import Diagnostics
from hustlex.core.durability.level import Durability
from hustlex.core.keys import slot
from hustlex.core.op import Batch, Effect, Flow, Op, Script, command, parts, subscribers
from hustlex.core.telemetry import CallEnd
from hustlex.diagnostics.checks import ROWS, judge_cluster
from hustlex.diagnostics.nodes import ClusterFacts, ClusterNode
from hustlex.drivers import aio, blocking, faults, links
from hustlex.errors import Closed, Error, Refused, Timeout, Unavailable
from hustlex.jobs.inspect import act
from tests.drivers.conftest import PATIENCE
from tests.support.clusters import ClusterHands
from tests.support.depth import examples
from tests.support.sentinels import until
from tests.support.street import Street


def same(reply: Any) -> Any:
    return reply


def get(key: str, **options: Any) -> Op[Any]:
    return command("test.get", Effect.READ, "GET", key, keys=(key,), decode=same, **options)


def put(key: str, value: Any) -> Op[Any]:
    return command("test.set", Effect.IDEMPOTENT, "SET", key, value, keys=(key,), decode=same)


def increment(key: str, **options: Any) -> Op[int]:
    return command("test.increment", Effect.ONCE, "INCR", key, keys=(key,), decode=int, **options)


def script(text: str) -> Script:
    return Script("test.script", text, hashlib.sha1(text.encode()).hexdigest(), Effect.ONCE, (), ())


ADD = script("return redis.call('INCRBY', KEYS[1], ARGV[1])")


# -- slots


@settings(max_examples=examples(25))
@given(st.lists(st.text(st.characters(codec="utf-8") | st.sampled_from("{}"), max_size=12), min_size=1, max_size=20))
def test_slots_are_those_that_the_server_computes(six_nodes: ClusterHands, keys: list[str]) -> None:
    import redis

    with redis.Redis.from_url(six_nodes.cluster.nodes[0].url) as client:
        pipe = client.pipeline(transaction=False)
        for key in keys:
            pipe.execute_command("CLUSTER", "KEYSLOT", key)
        assert pipe.execute() == [slot(key) for key in keys]


def together(ops: list[Op[Any]]) -> Flow[list[Any]]:
    answers: list[Any] = yield Batch(tuple(ops))
    return answers


# -- keys everywhere


async def test_calls_reach_the_node_of_their_key(street: Street, cluster: ClusterHands) -> None:
    for node in cluster.primaries():
        key = cluster.key_at(node)
        assert await street.run(put(key, "v")) == b"OK"
        assert cluster.ask(node, "GET", key) == "v"
        assert await street.run(increment(key + "n")) == 1


async def test_many_are_split_by_node_and_answered_in_order(street: Street) -> None:
    await street.many([put(f"k{number}", number) for number in range(300)])
    ops: list[Op[Any]] = [get(f"k{number}") for number in range(300)]
    ops[7] = command("test.bad", Effect.READ, "HGET", "k7", "x", keys=("k7",), decode=same)
    answers = await street.many(ops)
    assert isinstance(answers[7], Refused)
    assert answers[7].server_code == "WRONGTYPE"
    assert [*answers[:7], *answers[8:]] == [str(number).encode() for number in range(300) if number != 7]


def test_who_is_interrupted_amid_many_keeps_no_connection(
    cluster: ClusterHands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A limit of time for a task raises in its thread: each would cost the pools of the others a place for ever."""

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    with blocking.Driver(cluster.url, timeout=PATIENCE) as driver:
        ops = [put(cluster.key_at(node), "v") for node in cluster.primaries()]
        for step in ("read", "write"):
            assert driver.run_many(ops) == [b"OK"] * 3
            with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
                patch.setattr(links.OpenLink, step, interrupted)
                driver.run_many(ops)
            assert driver.figures.busy == 0


async def test_scripts_are_loaded_at_each_node_that_lacks_them(street: Street, cluster: ClusterHands) -> None:
    keys = [cluster.key_at(node, "script") for node in cluster.primaries()]
    for node in cluster.primaries():
        cluster.ask(node, "SCRIPT", "FLUSH")
    assert [await street.run(ADD.op((key,), (2,), int)) for key in keys] == [2, 2, 2]
    for node in cluster.primaries():
        cluster.ask(node, "SCRIPT", "FLUSH")
    assert await street.many([ADD.op((key,), (1,), int) for key in keys * 2]) == [3, 3, 3, 4, 4, 4]


async def test_calls_without_keys_are_served_by_any_node_and_undeclared_keys_are_found(street: Street) -> None:
    ping = command("test.ping", Effect.READ, "PING", decode=bytes)
    assert set(await street.many([ping] * 20)) == {b"PONG"}
    undeclared = [command("test.set", Effect.IDEMPOTENT, "SET", f"u{n}", n, decode=same) for n in range(20)]
    assert set(await street.many(undeclared)) == {b"OK"}
    assert await street.run(get("u7")) == b"7"


async def test_keys_of_two_slots_are_refused_with_the_reason(street: Street) -> None:
    with pytest.raises(Refused) as caught:
        await street.run(command("test.mget", Effect.READ, "MGET", "a", "b", keys=("a", "b"), decode=same))
    assert caught.value.server_code == "CROSSSLOT"


async def test_who_was_closed_before_the_first_call_says_so_at_once(
    kind: Callable[..., Any], cluster: ClusterHands
) -> None:
    street = Street(kind(cluster.url, timeout=timedelta(minutes=10)))
    await street.call("close")
    for call in (get("k"), command("test.ping", Effect.READ, "PING", decode=bytes)):
        with pytest.raises(Closed):
            await street.run(call)
        assert [type(answer) for answer in await street.many([call])] == [Closed]


# -- slots that move


async def test_a_slot_that_moved_is_followed_and_remembered(street: Street, cluster: ClusterHands) -> None:
    source, target, _ = cluster.primaries()
    key = cluster.key_at(source, "moved")
    assert await street.run(increment(key)) == 1
    await asyncio.to_thread(cluster.move, slot(key), target)
    try:
        assert await street.run(increment(key)) == 2
        answers = await street.many([increment(key) for _ in range(5)])
        assert answers == [3, 4, 5, 6, 7]
        cluster.ask(source, "CONFIG", "RESETSTAT")
        for _ in range(5):
            await street.run(increment(key))
        assert "MOVED" not in _refusals(cluster, source)
    finally:
        await asyncio.to_thread(cluster.move, slot(key), source)


def test_the_same_on_the_loop_that_commands_run_on(cluster: ClusterHands) -> None:
    uvloop = pytest.importorskip("uvloop")
    source, target, _ = cluster.primaries()
    key = cluster.key_at(source, "uv")

    async def follow() -> None:
        async with aio.Driver(cluster.url, timeout=PATIENCE) as driver:
            for number, goal in enumerate((source, target, source)):
                await asyncio.to_thread(cluster.move, slot(key), goal)
                assert await driver.run(increment(key)) == number + 1

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(follow())


def test_a_driver_goes_on_in_the_next_event_loop(cluster: ClusterHands) -> None:
    driver = aio.Driver(cluster.url, timeout=PATIENCE)

    async def count() -> list[Any]:
        return await driver.run_many([increment(cluster.key_at(node, "loop")) for node in cluster.primaries()])

    assert [asyncio.run(count()) for _ in range(3)] == [[1, 1, 1], [2, 2, 2], [3, 3, 3]]
    asyncio.run(driver.close())


async def test_a_slot_on_its_way_is_asked_of_both_nodes(street: Street, cluster: ClusterHands) -> None:
    source, target, _ = cluster.primaries()
    tag = cluster.key_at(source, "way")
    stays, goes, fresh = tag + "stays", tag + "goes", tag + "fresh"
    await street.many([put(stays, "s"), put(goes, "g")])
    cluster.begin_move(slot(tag), source, target)
    try:
        cluster.carry(source, target, [goes])
        assert await street.run(get(stays)) == b"s"
        assert await street.run(get(goes)) == b"g"
        assert await street.run(increment(fresh)) == 1
        assert await street.many([get(goes), get(stays), increment(fresh), get(goes)]) == [b"g", b"s", 2, b"g"]
        cluster.ask(target, "SCRIPT", "FLUSH")
        assert await street.run(ADD.op((fresh,), (5,), int)) == 7
        assert cluster.ask(source, "EXISTS", stays) == 1
    finally:
        cluster.carry(source, target, [stays])
        cluster.end_move(slot(tag), target)
        await asyncio.to_thread(cluster.move, slot(tag), source)


async def test_a_call_whose_keys_are_parted_for_a_while_waits(street: Street, cluster: ClusterHands) -> None:
    source, target, _ = cluster.primaries()
    tag = cluster.key_at(source, "parted")
    await street.many([put(tag + "a", "a"), put(tag + "b", "b")])
    cluster.begin_move(slot(tag), source, target)
    try:
        cluster.carry(source, target, [tag + "a"])
        both = command("test.mget", Effect.READ, "MGET", tag + "a", tag + "b", keys=(tag + "a",), decode=same)
        call = asyncio.create_task(street.run(both))
        nodes = source, target
        await asyncio.to_thread(until, lambda: any("TRYAGAIN" in _refusals(cluster, node) for node in nodes))
    finally:
        cluster.carry(source, target, [tag + "b"])
        cluster.end_move(slot(tag), target)
    assert await call == [b"a", b"b"]
    await asyncio.to_thread(cluster.move, slot(tag), source)


@pytest.mark.parametrize("way", ["move", "migrate"])
async def test_slots_move_under_load_without_an_error(street: Street, cluster: ClusterHands, way: str) -> None:
    """Key by key, and as one step of the servers."""
    source, target, _ = cluster.primaries()
    tags = [cluster.key_at(source, f"load{number}-") for number in range(8)]
    stop = False
    counts = dict.fromkeys(tags, 0)

    async def caller(tag: str) -> None:
        while not stop:
            counts[tag] += 1
            assert await street.run(increment(tag)) == counts[tag]
            many = await street.many([increment(other + tag) for other in tags])
            assert all(isinstance(answer, int) for answer in many), many

    callers = [asyncio.create_task(caller(tag)) for tag in tags]
    for goal in (target, source):
        for tag in tags:
            await asyncio.to_thread(getattr(cluster, way), slot(tag), goal)
    stop = True
    await asyncio.gather(*callers)
    assert all(counts.values())
    assert [int(await street.run(get(tag))) for tag in tags] == list(counts.values())


# -- what waits, and what is heard


async def test_a_blocking_command_waits_at_its_own_node_and_moves_with_the_slot(
    street: Street, cluster: ClusterHands
) -> None:
    source, target, _ = cluster.primaries()
    lists = [cluster.key_at(node, "list") for node in cluster.primaries()]
    pops = [command("test.pop", Effect.ONCE, "BLPOP", key, 9, keys=(key,), decode=same) for key in lists]
    waiting = [asyncio.create_task(street.call("block", pop, 9)) for pop in pops]
    for node in cluster.primaries():
        await asyncio.to_thread(until, lambda node=node: _blocked(cluster, node) == 1)
    await asyncio.to_thread(cluster.move, slot(lists[0]), target)
    try:
        await asyncio.to_thread(until, lambda: _blocked(cluster, target) == 2)
        for key in lists:
            await street.run(command("test.push", Effect.ONCE, "RPUSH", key, key, keys=(key,), decode=int))
        assert [(await task)[1].decode() for task in waiting] == lists
    finally:
        await asyncio.to_thread(cluster.move, slot(lists[0]), source)


def _refusals(cluster: ClusterHands, node: Any) -> str:
    return str(cluster.ask(node, "INFO", "errorstats"))


def _blocked(cluster: ClusterHands, node: Any) -> int:
    return int(cluster.ask(node, "INFO", "clients")["blocked_clients"])


async def test_messages_published_at_any_node_are_heard(cluster: ClusterHands) -> None:
    async with aio.Driver(cluster.url, timeout=PATIENCE) as driver, driver.subscribe("news") as messages:
        for number, node in enumerate(cluster.cluster.nodes):
            cluster.ask(node, "PUBLISH", "news", number)
        assert sorted([(await anext(messages)).data for _ in range(6)]) == [b"0", b"1", b"2", b"3", b"4", b"5"]


async def test_changes_are_heard_from_every_node(cluster: ClusterHands) -> None:
    heard: asyncio.Queue[Any] = asyncio.Queue()
    async with aio.Driver(cluster.url, timeout=PATIENCE) as driver:
        tracking = driver.track(on_keys=heard.put_nowait, on_loss=lambda: None)
        assert await tracking.settled(10)
        for node in cluster.primaries():
            key = cluster.key_at(node, "near")
            await driver.run(put(key, "v"))
            assert await heard.get() == [key.encode()]


# -- nodes that are away


async def test_one_silent_node_holds_up_nobody_else(street: Street, cluster: ClusterHands) -> None:
    silent, *others = cluster.primaries()
    dead, living = cluster.key_at(silent), [cluster.key_at(node) for node in others]
    await street.many([put(key, "v") for key in (dead, *living)])
    os.kill(silent.pid, signal.SIGSTOP)
    try:
        lost = [asyncio.create_task(street.run(get(dead, timeout_ms=1_500))) for _ in range(5)]
        begun = time.monotonic()
        while not all(task.done() for task in lost):
            assert await street.run(get(living[0])) == b"v"
            assert await street.run(get(living[1])) == b"v"
        assert time.monotonic() - begun < 6  # one after the other they would take 7.5
        assert all(isinstance(task.exception(), Unavailable) for task in lost)
        few = [get(key, timeout_ms=1_500) for key in (living[0], dead, living[1])]
        first, missing, last = await street.many(few)
        assert (first, last) == (b"v", b"v")
        assert isinstance(missing, Unavailable)
    finally:
        os.kill(silent.pid, signal.SIGCONT)
        await asyncio.to_thread(until, cluster.healthy)


async def test_calls_wait_for_a_promotion_though_their_deadline_is_shorter(
    kind: Callable[..., Any], cluster: ClusterHands
) -> None:
    """And the nodes that live are not disturbed. Calls with a time of their own keep it."""
    street, hasty = Street(kind(cluster.url)), Street(kind(cluster.url, failover=timedelta(0)))
    victim, *others = cluster.primaries()
    key, living = cluster.key_at(victim, "dies"), cluster.key_at(others[0], "lives")
    assert await street.many([put(key, "old"), put(living, "0")]) == [b"OK", b"OK"]
    assert await hasty.run(get(key)) == b"old"
    with cluster.healed():
        victim.kill()
        write = put(key, "new")
        story = together([write, get(living), write])
        calls = [asyncio.create_task(street.run(write)), asyncio.create_task(street.call("follow", story))]
        for number in range(50):
            assert await street.run(increment(living)) == number + 1
        for refused in (street.run(get(key, timeout_ms=100)), hasty.run(get(key))):
            with pytest.raises(Unavailable):
                await refused
        lives, dead = await street.many([get(living), get(key)])
        assert lives == b"50"
        assert isinstance(dead, Unavailable)
        calls.append(asyncio.create_task(street.run(increment(key + "n"))))
        await asyncio.to_thread(until, lambda: cluster.owner(key) is not victim)
        promoted = time.monotonic()
        first, (second, lives, third), count = await asyncio.gather(*calls)
        assert ([first, second, third], count) == ([b"OK"] * 3, 1)
        assert int(lives) <= 50
        assert time.monotonic() - promoted < 5
        assert await street.many([get(key), get(living)]) == [b"new", b"50"]
    await street.call("close")
    await hasty.call("close")


async def test_calls_to_a_primary_that_fell_silent_wait_for_its_replacement(
    kind: Callable[..., Any], cluster: ClusterHands
) -> None:
    """A machine that is gone hangs up on nobody. A slow one, which answers others, is no reason to wait."""
    victim = cluster.primaries()[0]
    key = cluster.key_at(victim, "silent")
    street = Street(kind(cluster.url))
    await street.run(put(key, "old"))
    with cluster.healed():
        os.kill(victim.pid, signal.SIGSTOP)
        try:
            calls = asyncio.gather(street.run(get(key)), street.run(put(key, "new")))
            with pytest.raises(Timeout):
                await street.run(get(key, timeout_ms=950))
            read, written = await calls
            assert (read in {b"old", b"new"}, written) == (True, b"OK")
        finally:
            os.kill(victim.pid, signal.SIGCONT)
    await street.call("close")


async def test_a_dead_seed_does_not_matter(kind: Callable[..., Any], cluster: ClusterHands) -> None:
    account, _, hosts = cluster.url.rpartition("@")
    street = Street(kind(f"{account}@127.0.0.1:1,{hosts.split(',')[-1]}", timeout=PATIENCE))
    assert await street.run(put("k", "v")) == b"OK"
    await street.call("close")


# -- what cannot work says so


async def sentence(kind: Callable[..., Any], url: str, timeout_ms: int = 500) -> str:
    street = Street(kind(url))
    try:
        with pytest.raises(Error) as caught:
            await street.run(get("k", timeout_ms=timeout_ms))
        (many,) = await street.many([get("k", timeout_ms=timeout_ms)])
        one = caught.value
        assert (many.op, many.message, many.hint, many.node) == (one.op, one.message, one.hint, one.node)
        return str(caught.value)
    finally:
        await street.call("close")


async def test_a_cluster_url_for_a_single_server(kind: Callable[..., Any], url: str) -> None:
    said = await sentence(kind, url.replace("redis://", "redis+cluster://"))
    assert "is no part of a cluster (use redis:// for a single server)" in said


async def test_a_plain_url_for_a_cluster(kind: Callable[..., Any], cluster: ClusterHands) -> None:
    node = next(node for node in cluster.primaries() if node is not cluster.owner("k"))
    assert "another one holds this key; use redis+cluster:// in its URL" in await sentence(kind, node.url)


async def test_a_plain_url_for_a_part_of_a_cluster_is_warned_of_once(
    kind: Callable[..., Any],
    cluster: ClusterHands,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where all keys are of that node nothing fails, and the events of the two kinds of URL never meet."""
    monkeypatch.setattr(faults, "_half_named", set())
    for url in (cluster.owner("k").url, cluster.owner("k").url, cluster.url):
        street = Street(kind(url, timeout=PATIENCE))
        await street.run(put("k", "v"))
        await street.call("close")
    (said,) = [record.getMessage() for record in caplog.records if record.name == "hustlex.drivers"]
    assert f"127.0.0.1:{cluster.owner('k').port} is part of a cluster, and the URL says redis://" in said
    assert "use redis+cluster:// in all of them" in said


async def test_an_error_names_the_node_that_was_asked(kind: Callable[..., Any], cluster: ClusterHands) -> None:
    street = Street(kind(cluster.url, timeout=PATIENCE))
    for key in ("k", "another", "third"):
        bad = command("test.bad", Effect.READ, "GET", keys=(key,), decode=bytes)
        with pytest.raises(Refused) as caught:
            await street.run(bad)
        (many,) = await street.many([bad])
        assert {caught.value.node, many.node} == {f"127.0.0.1:{cluster.owner(key).port}"}
    await street.call("close")


async def test_no_node_that_can_be_reached(kind: Callable[..., Any]) -> None:
    said = await sentence(kind, "redis+cluster://127.0.0.1:1,127.0.0.1:2")
    assert "cannot reach the server at 127.0.0.1:1, 127.0.0.1:2: connection refused" in said


async def test_a_wrong_password(kind: Callable[..., Any], cluster: ClusterHands) -> None:
    hosts = cluster.url.rpartition("@")[2]
    assert "WRONGPASS" in await sentence(kind, f"redis+cluster://:wrong@{hosts}")


def test_the_doctor_asks_each_node(cluster: ClusterHands) -> None:
    """And judges the cluster as a whole."""
    with blocking.Driver(cluster.url) as driver:
        found = Diagnostics(driver).check(deep=True, watch=timedelta(0)).findings
    names = {f"127.0.0.1:{node.port}" for node in cluster.primaries()}
    assert {each.node for each in found if each.check == "room"} == names
    whole = {each.check: each.level for each in found if each.check in ROWS}
    assert whole == {"slots": "ok", "spares": "ok", "coverage": "info", "balance": "ok"}


def test_a_cluster_with_holes_and_uneven_nodes_is_told() -> None:
    node = ClusterNode("10.0.0.1", 6379, "1", 12_000, 0)
    facts = ClusterFacts("fail", 2_000, (node, ClusterNode("10.0.0.2", 6379, "2", 2_384, 1)))
    found = {each.check: each for each in judge_cluster("state", facts, ())}
    levels = {name: each.level for name, each in found.items()}
    assert levels == {"slots": "fail", "spares": "warn", "coverage": "unknown", "balance": "warn"}
    assert found["spares"].detail == "without a replica: 10.0.0.1:6379"


# -- what no key names is asked of every node


def count(name: str) -> Flow[list[int]]:
    return parts(command(name, Effect.READ, "DBSIZE", decode=int))


async def test_each_part_is_asked_once_and_a_single_server_is_one_part(
    street: Street, cluster: ClusterHands, url: str, kind: Callable[..., Any]
) -> None:
    keys = [cluster.key_at(node, f"part{number}-") for node in cluster.primaries() for number in range(5)]
    alone = Street(kind(url))
    assert await alone.call("follow", count("test.count")) == [0]
    await alone.call("close")
    fresh = Street(kind(cluster.url, timeout=PATIENCE))
    assert await fresh.call("follow", count("test.count")) == [0, 0, 0]
    await fresh.call("close")
    assert set(await street.many([put(key, "v") for key in keys])) == {b"OK"}
    assert await street.call("follow", count("test.count")) == [5, 5, 5]


async def test_who_hears_a_channel_is_counted_at_all_nodes(cluster: ClusterHands) -> None:
    drivers = [aio.Driver(cluster.url, timeout=PATIENCE) for _ in range(2)]
    async with drivers[0] as one, drivers[1] as two, one.subscribe("asynq:cancel"), two.subscribe("asynq:cancel"):
        assert await one.follow(act.cancel("nobody")) == 2
        assert sum(await two.follow(parts(subscribers("test.heard", "asynq:cancel")))) == 2


async def test_writes_wait_at_the_node_that_has_their_key(street: Street, cluster: ClusterHands) -> None:
    keys = [cluster.key_at(node, f"safe{number}-") for node in cluster.primaries() for number in range(2)]
    found = await street.call("commit_many", [put(key, "v") for key in keys], Durability("replica", wait_ms=5_000))
    assert [(each.value, each.reached, each.replicas) for each in found] == [(b"OK", True, 1)] * len(keys)


async def test_a_hook_is_told_which_node_answered(kind: Callable[..., Any], cluster: ClusterHands) -> None:
    told: list[CallEnd] = []
    street = Street(kind(cluster.url, timeout=PATIENCE, hook=lambda _: told.append))
    nodes = await asyncio.to_thread(cluster.primaries)
    keys = [await asyncio.to_thread(cluster.key_at, node) for node in nodes]
    for key in keys:
        await street.run(get(key))
    await street.many([get(keys[0]), get(keys[0])])
    await street.many([get(key) for key in keys])
    await street.call("close")
    named = [f"127.0.0.1:{node.port}" for node in nodes]
    assert [end.node for end in told[:-1]] == [*named, named[0]]
    assert told[-1].node in cluster.url, "of several the configured one"
