"""The test tools themselves: a fault that does not happen would make every test above it worthless."""

from __future__ import annotations

import socket
import time

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.support.proxy import Proxy


@pytest.fixture
def client(faulty: Proxy) -> redis.Redis:
    with redis.Redis.from_url(faulty.url, retry=Retry(NoBackoff(), 0), socket_timeout=1) as client:
        client.ping()
        yield client


def test_passes_everything_on(client: redis.Redis, raw: redis.Redis) -> None:
    client.set("a", "x" * 300_000)
    assert raw.get("a") == b"x" * 300_000
    assert client.get("a") == raw.get("a")


def test_trickle_changes_nothing_but_the_pace(client: redis.Redis, faulty: Proxy) -> None:
    faulty.trickle = True
    assert client.set("a", "xyz") is True
    assert client.get("a") == b"xyz"


def test_lost_reply_was_executed(client: redis.Redis, faulty: Proxy, raw: redis.Redis) -> None:
    faulty.lose_reply(containing=b"INCR")
    with pytest.raises(redis.ConnectionError):
        client.incr("n")
    assert raw.get("n") == b"1"
    assert client.incr("n") == 2


def test_lost_request_was_not_executed(client: redis.Redis, faulty: Proxy, raw: redis.Redis) -> None:
    faulty.lose_request(containing=b"INCR")
    with pytest.raises(redis.ConnectionError):
        client.incr("n")
    assert raw.get("n") is None


def test_cut_resets_and_new_connections_work(faulty: Proxy) -> None:
    with socket.create_connection(("127.0.0.1", faulty.port), timeout=2) as link:
        link.sendall(b"PING\r\n")
        assert link.recv(100).startswith(b"-NOAUTH")
        faulty.cut()
        with pytest.raises(ConnectionResetError):
            link.recv(100)
    with redis.Redis.from_url(faulty.url) as client:
        assert client.ping() is True
    assert faulty.connections == 2


def test_refuse_lets_nobody_in(client: redis.Redis, faulty: Proxy) -> None:
    faulty.refuse = True
    client.connection_pool.disconnect()
    with pytest.raises(redis.ConnectionError):
        client.ping()


def test_black_hole_is_silent(client: redis.Redis, faulty: Proxy) -> None:
    faulty.black_hole = True
    client.connection_pool.reset()
    slow = redis.Redis.from_url(faulty.url, retry=Retry(NoBackoff(), 0), socket_timeout=0.05)
    with pytest.raises(redis.TimeoutError):
        slow.ping()
    slow.close()


def test_delay_holds_replies_back(client: redis.Redis, faulty: Proxy) -> None:
    faulty.delay_seconds = 0.05
    started = time.perf_counter()
    client.ping()
    assert time.perf_counter() - started >= 0.05
