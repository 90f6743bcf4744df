"""What INFO says of a server's files and replicas: would what it holds survive it?"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import msgspec

from hustlex.diagnostics.asks import fields

_REPLICA = re.compile(r"slave\d+")


class Persistence(msgspec.Struct, frozen=True, kw_only=True):
    """What a server writes to its disk."""

    append_only: bool
    """Whether its append-only file (AOF) is on."""
    append_ok: bool
    """Whether the last write to that file, and the last time it was rewritten, went well."""
    append_bytes: int
    """How large the file is; 0 where it is off."""
    rewriting: bool
    """Whether the file is being rewritten."""
    saved_at: datetime | None
    """When the last snapshot (RDB) was written, or the server started."""
    save_ok: bool
    """Whether the last snapshot went well."""
    saving: bool
    """Whether one is being written."""
    save_took: timedelta | None
    """How long the last one took; None: there was none since it started."""
    unsaved: int
    """Changes since the last snapshot."""
    fork: timedelta
    """For how long the server stood still when it forked last."""


class ReplicaState(msgspec.Struct, frozen=True):
    """A replica, as its primary sees it."""

    node: str
    """Its address."""
    state: str
    """As "online": it is in step."""
    behind_bytes: int
    """What it has not said it has."""
    silent: timedelta | None
    """Since it said something the last time; None where the primary does not tell."""


def persistence(info: Mapping[str, str]) -> Persistence:
    """Of a server's INFO."""
    saved, took = _number(info, "rdb_last_save_time"), _number(info, "rdb_last_bgsave_time_sec", -1)
    return Persistence(
        append_only=info.get("aof_enabled") == "1",
        append_ok=_well(info, "aof_last_write_status") and _well(info, "aof_last_bgrewrite_status"),
        append_bytes=_number(info, "aof_current_size"),
        rewriting=info.get("aof_rewrite_in_progress") == "1",
        saved_at=datetime.fromtimestamp(saved, UTC) if saved else None,
        save_ok=_well(info, "rdb_last_bgsave_status"),
        saving=info.get("rdb_bgsave_in_progress") == "1",
        save_took=timedelta(seconds=took) if took >= 0 else None,
        unsaved=_number(info, "rdb_changes_since_last_save"),
        fork=timedelta(microseconds=_number(info, "latest_fork_usec")),
    )


def replication(info: Mapping[str, str]) -> tuple[ReplicaState, ...]:
    """Of a primary's INFO."""
    written = _number(info, "master_repl_offset")
    return tuple(_replica(fields(text), written) for name, text in info.items() if _REPLICA.fullmatch(name))


def source(info: Mapping[str, str]) -> tuple[str, bool | None]:
    """Of a replica's INFO: the address of its primary, and whether the link to it is up; "" of a primary."""
    if info.get("role") != "slave":
        return "", None
    return f"{info.get('master_host', '')}:{info.get('master_port', '')}", info.get("master_link_status") == "up"


def _replica(told: Mapping[str, str], written: int) -> ReplicaState:
    silent = timedelta(seconds=_number(told, "lag")) if "lag" in told else None
    behind = max(0, written - _number(told, "offset")) if "offset" in told else 0
    return ReplicaState(f"{told.get('ip', '')}:{told.get('port', '')}", told.get("state", ""), behind, silent)


def _well(info: Mapping[str, str], name: str) -> bool:
    return info.get(name, "ok") == "ok"


def _number(told: Mapping[str, str], name: str, otherwise: int = 0) -> int:
    try:
        return int(told.get(name, otherwise))
    except ValueError:
        return otherwise
