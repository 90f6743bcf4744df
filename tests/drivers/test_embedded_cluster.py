"""The cluster for development: what it holds outlives it, and a node that died is started again."""

from __future__ import annotations

import socket
from pathlib import Path

from hustlex.core.op import Effect, command
from hustlex.drivers.blocking import Driver
from hustlex.drivers.embedded_cluster import EmbeddedCluster
from tests.drivers.conftest import PATIENCE


def test_a_directory_holds_a_cluster_between_runs(tmp_path: Path) -> None:
    keys = [f"k{number}" for number in range(20)]
    writes = [command("test.set", Effect.IDEMPOTENT, "SET", key, key, keys=(key,), decode=bytes) for key in keys]
    reads = [command("test.get", Effect.READ, "GET", key, keys=(key,), decode=bytes) for key in keys]
    cluster = EmbeddedCluster(tmp_path / "cluster", replicas=0, append_only=True)
    with cluster, Driver(cluster.url, timeout=PATIENCE) as driver:
        assert set(driver.run_many(writes)) == {b"OK"}
        url = cluster.url
    assert not cluster.running
    with cluster:
        assert cluster.url == url
        cluster.nodes[0].kill()
        assert not cluster.running
        cluster.start()
        assert cluster.running
        with Driver(cluster.url, timeout=PATIENCE) as driver:
            assert driver.run_many(reads) == [key.encode() for key in keys]


def test_nodes_whose_ports_were_taken_meanwhile_are_found_at_others(tmp_path: Path) -> None:
    cluster = EmbeddedCluster(tmp_path / "cluster", replicas=0, append_only=True)
    with cluster:
        taken = cluster.nodes[0].port, cluster.nodes[1].port_of("cluster-port")
    with socket.create_server(("127.0.0.1", taken[0])), socket.create_server(("127.0.0.1", taken[1])), cluster:
        now = cluster.nodes[0].port, cluster.nodes[1].port_of("cluster-port")
        assert not {*now} & {*taken}
