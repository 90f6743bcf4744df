"""Is a cluster whole, and is its work spread?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import fmean

from hustlex.diagnostics.asks import fields
from hustlex.diagnostics.checks.check import Judgement, number
from hustlex.diagnostics.facts import ServerFacts
from hustlex.diagnostics.findings import DoctorFinding, Role
from hustlex.diagnostics.nodes import ClusterFacts

_UNEVEN = 1.5
_FEW_KEYS = 10_000
ROWS = {
    "slots": ("fail: the state is not ok, or slots are not served", "calls for keys of these slots fail"),
    "spares": ("warn: a primary has no replica", "its part of the data is away when it is"),
    "coverage": (
        "info: cluster-require-full-coverage is yes",
        "when one slot is lost, the whole cluster refuses calls",
    ),
    "balance": ("warn: a node has over 1.5 times the mean of slots or keys", "one node is full before the others"),
}
"""Limit and reason of each check."""


def judge_cluster(role: Role, cluster: ClusterFacts, servers: Sequence[ServerFacts]) -> Iterator[DoctorFinding]:
    """One finding for each check."""
    said = {
        "slots": _slots(cluster),
        "spares": _spares(cluster),
        "coverage": _coverage(servers),
        "balance": _balance(cluster, servers),
    }
    for name, (level, detail, hint) in said.items():
        shown = ("", "", "") if level == "ok" else (hint, *ROWS[name])
        yield DoctorFinding(role, name, level, detail, shown[0], "", shown[1], shown[2])


def _slots(cluster: ClusterFacts) -> Judgement:
    whole = cluster.state in ("ok", "unknown") and not cluster.unserved
    detail = f"state {cluster.state}, {len(cluster.nodes)} primaries, {cluster.unserved} slots not served"
    return ("ok" if whole else "fail"), detail, "start the nodes that are down, or assign their slots: CLUSTER ADDSLOTS"


def _spares(cluster: ClusterFacts) -> Judgement:
    bare = [node.name for node in cluster.nodes if not node.replicas]
    detail = f"without a replica: {', '.join(bare)}" if bare else "each primary has a replica"
    return ("warn" if bare else "ok"), detail, "add replicas: CLUSTER REPLICATE"


def _coverage(servers: Sequence[ServerFacts]) -> Judgement:
    settings = [server.settings for server in servers if server.settings is not None]
    if not settings:
        return "unknown", "this user may not ask", "allow +config|get, or ask as another user"
    full = any(each.get("cluster-require-full-coverage") == "yes" for each in settings)
    hint = "set cluster-require-full-coverage no, so that the other slots go on"
    return ("info" if full else "ok"), f"cluster-require-full-coverage {'yes' if full else 'no'}", hint


def _balance(cluster: ClusterFacts, servers: Sequence[ServerFacts]) -> Judgement:
    slots = {node.name: node.slots for node in cluster.nodes}
    keys = {server.node: _keys(server) for server in servers}
    uneven = _over(slots, "slots") + (_over(keys, "keys") if sum(keys.values()) > _FEW_KEYS else [])
    return (
        ("warn" if uneven else "ok"),
        ", ".join(uneven) or "slots and keys are spread evenly",
        ("move slots: CLUSTER SETSLOT, or your host's rebalancing; split queues and channels that are one slot each"),
    )


def _over(counts: dict[str, int], what: str) -> list[str]:
    mean = fmean(counts.values()) if counts else 0.0
    return [f"{name} has {count} {what}" for name, count in counts.items() if mean and count > _UNEVEN * mean]


def _keys(server: ServerFacts) -> int:
    """Of database 0, as INFO says: ``keys=1,expires=0``."""
    return int(number(fields(server.info.get("db0", "")), "keys"))
