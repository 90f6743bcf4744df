"""The drills of docs/guides/drills.md, done: what the page says of a backup is true of a server that is put back."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis

from hustlex import HustleX, Tasks
from hustlex.drivers.embedded import EmbeddedServer
from hustlex.testing import drain
from tests.conftest import PATIENCE, SECRET
from tests.worker.support import until

paid: list[int] = []
tasks = Tasks()


@tasks.task("pay")
async def pay(number: int) -> None:
    paid.append(number)


@contextmanager
def holding(place: Path, backup: Path, *, append_only: bool) -> Iterator[tuple[EmbeddedServer, redis.Redis]]:
    """A server in an empty directory that holds the backup."""
    place.mkdir(mode=0o700)
    shutil.copy(backup, place / "dump.rdb")
    with EmbeddedServer(place, append_only=append_only) as server, redis.Redis.from_url(server.url) as client:
        yield server, client


async def test_a_backup_is_put_back_and_what_came_after_it_has_not_happened(tmp_path: Path) -> None:
    paid.clear()
    backup = tmp_path / "backup.rdb"
    with EmbeddedServer(append_only=True) as server:
        async with HustleX(server.url, secret=SECRET, timeout=PATIENCE) as hx:
            access = (await hx.tokens.login("ada")).or_raise().access
            (await hx.jobs.enqueue(pay.job(number=1))).or_raise()
            with redis.Redis.from_url(server.url) as client:
                client.save()
            shutil.copy(server.directory / "dump.rdb", backup)
            await drain(hx, tasks)
            await hx.tokens.revoke_all("ada")
            assert [type(await hx.tokens.check(access, mode="strict")).__name__, paid] == ["Rejected", [1]]

    with holding(tmp_path / "trap", backup, append_only=True) as (_, client):
        assert client.dbsize() == 0

    with holding(tmp_path / "server", backup, append_only=False) as (server, client):
        assert client.dbsize() > 0
        client.config_set("appendonly", "yes")
        await until(lambda: _written(client.info("persistence")))
    with EmbeddedServer(tmp_path / "server", append_only=True) as server:
        async with HustleX(server.url, secret=SECRET, timeout=PATIENCE) as hx:
            assert (await hx.tokens.check(access, mode="strict")).user_id == "ada"
            await drain(hx, tasks)
            assert paid == [1, 1]
            await hx.tokens.revoke_all("ada")
            assert type(await hx.tokens.check(access, mode="strict")).__name__ == "Rejected"


def _written(told: dict[str, Any]) -> bool:
    return (
        told["aof_enabled"] == 1 and not told["aof_rewrite_in_progress"] and told["aof_last_bgrewrite_status"] == "ok"
    )
