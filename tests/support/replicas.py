"""A primary and a replica that lags when told to, and takes over."""

from __future__ import annotations

import os
import signal
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import redis

from hustlex.drivers.embedded import EmbeddedServer
from tests.support import servers
from tests.support.sentinels import until


class ReplicaPair:
    """Two servers of one password. url: the primary's; after ``fail_over`` the other's."""

    def __init__(self, kind: str = "valkey9", *, append_only: bool = True) -> None:
        binary = servers.binary(kind)
        self.primary, self.replica = (
            EmbeddedServer(binary=binary, append_only=append_only, appendfsync="always") for _ in range(2)
        )

    def __enter__(self) -> Self:
        self.primary.start()
        self.replica.start()
        with redis.Redis.from_url(self.primary.url) as leads, redis.Redis.from_url(self.replica.url) as follows:
            leads.config_set("repl-diskless-sync-delay", 0)
            follows.config_set("masterauth", urlsplit(self.primary.url).password or "")
            follows.replicaof("127.0.0.1", self.primary.port)
            until(lambda: follows.info("replication").get("master_link_status") == "up")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.kill(self.replica.pid, signal.SIGCONT)
        self.replica.kill()
        self.primary.kill()

    @property
    def url(self) -> str:
        return self.primary.url

    def lag(self) -> None:
        """From now on the replica hears nothing; it has all that was written before."""
        with redis.Redis.from_url(self.primary.url) as leads:
            until(lambda: leads.wait(1, 100) == 1)
            os.kill(self.replica.pid, signal.SIGSTOP)
            leads.client_kill_filter(_type="replica")  # else all would wait in its socket until it goes on

    def fail_over(self) -> str:
        """The primary is gone, the replica takes over with what it has. Returns its URL."""
        self.primary.kill()
        os.kill(self.replica.pid, signal.SIGCONT)
        with redis.Redis.from_url(self.replica.url) as follows:
            follows.replicaof("NO", "ONE")
        return self.replica.url
