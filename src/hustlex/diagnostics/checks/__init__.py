"""Is a server fit for what it holds? Each check is a plain function of facts, and asks nobody."""

from collections.abc import Iterator

from hustlex.diagnostics.checks import access, disk, server, speed
from hustlex.diagnostics.checks.check import Check, found
from hustlex.diagnostics.checks.cluster import ROWS, judge_cluster
from hustlex.diagnostics.facts import ServerFacts
from hustlex.diagnostics.findings import DoctorFinding, Role

CHECKS: tuple[Check, ...] = tuple(check for part in (server, disk, speed, access) for check in part.CHECKS.all)

AT_START = frozenset(
    {
        *("version", "role", "address", "eviction", "evicted", "persistence", "clients"),
        *("password", "commands", "tls"),
    }
)
"""The checks that a starting process makes. Not the distance: a single call on a busy machine says nothing of it."""

__all__ = ["AT_START", "CHECKS", "ROWS", "apart", "judge", "judge_cluster"]


def judge(role: Role, facts: ServerFacts) -> Iterator[DoctorFinding]:
    """One finding for each check that applies."""
    for check in CHECKS:
        yield from found(check, role, facts)


def apart(state: ServerFacts, cache: ServerFacts | None) -> DoctorFinding:
    """Whether cache and state have a server each."""
    if cache is not None and cache.info.get("run_id") != state.info.get("run_id"):
        return DoctorFinding("cache", "separate", "ok", "the cache has a server of its own")
    hint = "set HUSTLEX_CACHE_URL to a second server: what fills this one with cache stops logins and payments"
    if cache is not None and cache.link and state.link and cache.link.database != state.link.database:
        detail = "the cache shares the state server, in another database: memory and policy are the server's"
        return DoctorFinding("cache", "separate", "fail", detail, hint)
    return DoctorFinding("cache", "separate", "warn", "the cache shares the state server", hint)
