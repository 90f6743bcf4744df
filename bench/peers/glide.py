"""valkey-glide's asyncio client: one connection for all tasks, its core is Rust."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any
from urllib.parse import urlsplit

from glide import (
    GlideClient,
    GlideClientConfiguration,
    GlideClusterClient,
    GlideClusterClientConfiguration,
    NodeAddress,
    Script,
    ServerCredentials,
)

from bench.commands import SCRIPT, VALUE, Commands

_TIMEOUT_MS = 10_000
"""A crowded machine is no reason to fail."""


async def connect(url: str) -> Commands:
    """On one server or a cluster."""
    cluster = url.startswith("redis+cluster")
    account, _, hosts = url.partition("@")
    addresses = [urlsplit(f"//{host}") for host in hosts.partition("/")[0].split(",")]
    nodes = [NodeAddress(str(each.hostname), int(each.port or 0)) for each in addresses]
    credentials = ServerCredentials(account.rpartition(":")[2])
    client: Any
    if cluster:
        settings = GlideClusterClientConfiguration(nodes, credentials=credentials, request_timeout=_TIMEOUT_MS)
        client = await GlideClusterClient.create(settings)
    else:
        alone = GlideClientConfiguration(nodes, credentials=credentials, request_timeout=_TIMEOUT_MS)
        client = await GlideClient.create(alone)
    script = Script(SCRIPT)

    def put(key: str) -> Awaitable[Any]:
        return client.set(key, VALUE)

    def evalsha(key: str) -> Awaitable[Any]:
        return client.invoke_script(script, keys=[key])

    return Commands(client.get, put, evalsha, client.close)
