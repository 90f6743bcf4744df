"""One application behind uvicorn in a process of its own: ``python -m bench.web_server module:factory url``.

Says on its output where it listens and what requests must carry; answers each line of its input with the CPU it has
used, which costs the application nothing. The end of the input ends it.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
from importlib import import_module
from typing import Any

import uvicorn

from hustlex.cli.collector import freeze_start


class Server(uvicorn.Server):
    """frozen: what the start has made is left out of garbage collections, as ``hustlex api`` does."""

    frozen = False

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        if self.frozen:
            freeze_start()
        asyncio.get_running_loop().add_reader(sys.stdin, self._asked)
        headers = getattr(self.config.app.state, "bench_headers", {})
        say({"port": self.servers[0].sockets[0].getsockname()[1], "headers": headers})

    def _asked(self) -> None:
        if not sys.stdin.readline():
            asyncio.get_running_loop().remove_reader(sys.stdin)
            self.should_exit = True
            return
        used = resource.getrusage(resource.RUSAGE_SELF)
        say({"cpu": used.ru_utime + used.ru_stime})


def say(value: dict[str, Any]) -> None:
    """One line."""
    print(json.dumps(value), flush=True)


def main(factory: str, url: str, *options: str) -> None:
    """Serve until the input ends."""
    module, _, name = factory.partition(":")
    app = getattr(import_module(module), name)(url)
    config = uvicorn.Config(app, host="127.0.0.1", port=0, loop="uvloop", log_level="error", access_log=False)
    server = Server(config)
    server.frozen = "frozen" in options
    server.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
