"""Servers in several arrangements, each started once for the tests of a module: six that idle are never quite idle."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from hustlex.drivers.embedded_cluster import EmbeddedCluster
from tests.support import servers
from tests.support.clusters import ClusterHands
from tests.support.sentinels import SentinelSet, until
from tests.support.street import KINDS, Street

PATIENCE = timedelta(seconds=10)


@pytest.fixture(scope="module")
def six_nodes() -> Iterator[ClusterHands]:
    """Three primaries and their replicas."""
    options = ("--enable-debug-command", "local")
    with EmbeddedCluster(binary=servers.binary("valkey9"), extra_args=options) as cluster:
        hands = ClusterHands(cluster)
        yield hands
        hands.close()


@pytest.fixture
def cluster(six_nodes: ClusterHands) -> ClusterHands:
    """The cluster, emptied."""
    until(six_nodes.healthy)
    six_nodes.flush()
    return six_nodes


@pytest.fixture(scope="module")
def sentinel_set(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SentinelSet]:
    with SentinelSet(servers.binary("valkey9"), tmp_path_factory.mktemp("sentinels")) as running:
        yield running


@pytest.fixture
def watched_pair(sentinel_set: SentinelSet) -> SentinelSet:
    """A primary and its replica, both known to their Sentinels."""
    until(sentinel_set.healthy)
    return sentinel_set


@pytest.fixture(params=list(KINDS))
def kind(request: pytest.FixtureRequest) -> Callable[..., Any]:
    return KINDS[request.param]


@pytest.fixture
async def street(kind: Callable[..., Any], cluster: ClusterHands) -> AsyncIterator[Street]:
    """A driver of the cluster."""
    street = Street(kind(cluster.url, timeout=PATIENCE))
    yield street
    await street.call("close")
