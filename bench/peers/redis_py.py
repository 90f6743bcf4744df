"""redis-py's asyncio client with hiredis, one client shared by all tasks."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis, RedisCluster

from bench.commands import SCRIPT, VALUE, Commands

_CONNECTIONS = 100


async def connect(url: str) -> Commands:
    """At most 100 connections: more make it slower, and a plain pool raises at 100 callers."""
    if url.startswith("redis+cluster"):
        return await _cluster(url)
    client = Redis(connection_pool=BlockingConnectionPool.from_url(url, max_connections=_CONNECTIONS, timeout=60))
    sha = await client.script_load(SCRIPT)

    def put(key: str) -> Awaitable[Any]:
        return client.set(key, VALUE)

    def evalsha(key: str) -> Awaitable[Any]:
        return client.evalsha(sha, 1, key)

    return Commands(client.get, put, evalsha, client.aclose)


async def _cluster(url: str) -> Commands:
    account, _, hosts = url.partition("@")
    client = RedisCluster.from_url(f"redis://{account.partition('://')[2]}@{hosts.partition(',')[0]}")
    sha = await client.script_load(SCRIPT)

    def put(key: str) -> Awaitable[Any]:
        return client.set(key, VALUE)

    def evalsha(key: str) -> Awaitable[Any]:
        return client.evalsha(sha, 1, key)

    return Commands(client.get, put, evalsha, client.aclose)
