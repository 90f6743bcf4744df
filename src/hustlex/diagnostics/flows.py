"""Each server is asked, then all that is known is judged."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import msgspec

from hustlex.core.link import ServerLink
from hustlex.core.logs import logger
from hustlex.core.op import Flow
from hustlex.core.printable import printable
from hustlex.diagnostics.checks import AT_START, apart, judge, judge_cluster
from hustlex.diagnostics.facts import DeepCheck, ServerFacts, at_start, of_server
from hustlex.diagnostics.findings import Checkup, DoctorFinding, Role
from hustlex.diagnostics.job_facts import JobFacts, of_jobs
from hustlex.diagnostics.jobs import JOB_CHECKS, judge_jobs
from hustlex.diagnostics.nodes import ClusterFacts, of_cluster

__all__ = ["at_a_glance", "checkup", "judged_at_start", "of_jobs", "servers", "starting"]

_log = logger("hustlex.doctor")


class RoleFacts(msgspec.Struct, frozen=True):
    """Of the state, or of the cache: its server, or those of its cluster."""

    servers: tuple[ServerFacts, ...]
    cluster: ClusterFacts | None = None
    left_out: int = 0
    """Nodes that were not asked."""


def servers(link: ServerLink, deep: DeepCheck | None, brief: int | None = None) -> Flow[RoleFacts]:
    """Ask the server, or each node of a cluster one after the other. brief: ask so many nodes, and each for less."""
    cluster = yield from of_cluster()
    if cluster is None:
        return RoleFacts(((yield from of_server(None, link, deep, brief=brief is not None)),))
    found: tuple[ServerFacts, ...] = ()
    for node in cluster.nodes[:brief]:
        found = (*found, (yield from of_server(node, link, deep, brief=brief is not None)))
    return RoleFacts(found, cluster, len(cluster.nodes) - len(found))


def starting(link: ServerLink) -> Flow[tuple[ServerFacts, ...]]:
    """As ``servers``, in two round trips for each, or three for a user of few rights, and one for where they are."""
    cluster = yield from of_cluster()
    if cluster is None:
        return ((yield from at_start(None, link)),)
    found: tuple[ServerFacts, ...] = ()
    for node in cluster.nodes:
        found = (*found, (yield from at_start(node, link)))
    return found


def judged_at_start(role: Role, facts: tuple[ServerFacts, ...]) -> list[DoctorFinding]:
    """What a starting process should know; each finding that is not good is logged."""
    found = [each for server in facts for each in judge(role, server) if each.check in AT_START]
    for each in found:
        if each.level in ("warn", "fail"):
            level = logging.ERROR if each.level == "fail" else logging.WARNING
            _log.log(level, "%s %s: %s (%s)", each.role, each.check, printable(each.detail), printable(each.hint))
    return found


def checkup(state: RoleFacts, jobs: JobFacts | None, cache: RoleFacts | None = None) -> Checkup:
    """All findings, the state server's first."""
    found = [*_judged("state", state), *judge_jobs(jobs)]
    if cache is not None:
        found += _judged("cache", cache)
    found.append(apart(state.servers[0], cache.servers[0] if cache is not None else None))
    left_out = state.left_out + (cache.left_out if cache is not None else 0)
    return Checkup(tuple(found), any(server.memory.evicts for server in state.servers), left_out)


def of_servers(found: Checkup) -> Checkup:
    """Of a check that did not ask for jobs."""
    kept = tuple(each for each in found.findings if each.check not in JOB_CHECKS)
    return Checkup(kept, found.unsafe_eviction, found.left_out)


def at_a_glance(found: Checkup) -> Checkup:
    """Of a brief check, which does not ask whether a user of few rights may run all that rooms need."""
    kept = tuple(each for each in found.findings if (each.check, each.level) != ("commands", "unknown"))
    return Checkup(kept, found.unsafe_eviction, found.left_out)


def _judged(role: Role, facts: RoleFacts) -> Iterator[DoctorFinding]:
    if facts.cluster is not None:
        yield from judge_cluster(role, facts.cluster, facts.servers)
    for server in facts.servers:
        yield from judge(role, server)
