"""``make rollout``: a backend of several processes, replaced again and again under load."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from hustlex.drivers.embedded import EmbeddedServer
from tests.rollout.behind import restarted
from tests.rollout.play import Play, Size


def main() -> int:
    """1 when an order was lost, doubled or refused."""
    parser = argparse.ArgumentParser(prog="make rollout", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="new versions, one after the other")
    parser.add_argument("--customers", type=int, default=8)
    parser.add_argument("--through", choices=["nginx", "caddy"], help="APIs restarted in place behind this proxy")
    chosen = parser.parse_args()
    if chosen.through:
        return behind_proxy(chosen.through, chosen.rounds, chosen.customers)
    size = Size(apis=2, workers=2, schedulers=2, customers=chosen.customers, pause_s=0.005)
    with EmbeddedServer() as server, tempfile.TemporaryDirectory(prefix="rollout-") as folder:
        account = asyncio.run(Play(server.url, Path(folder), size).run(chosen.rounds))
    print(f"{chosen.rounds} rollouts, {account.seconds:.0f} s: {account.orders:,} orders, none of them sent twice")
    print("receipts     " + ", ".join(f"version {each}: {many:,}" for each, many in sorted(account.by_version.items())))
    print(f"given back   {account.handed_back} jobs by workers that ended")
    print(f"ticks        {account.ticks} of a job that is due each second, by two schedulers")
    print("\n".join(["THE ACCOUNT IS WRONG:", *account.wrong[:50]]) if account.wrong else "account      exact")
    return 1 if account.wrong else 0


def behind_proxy(kind: str, rounds: int, customers: int) -> int:
    """1 when a customer saw anything but a good answer."""
    with EmbeddedServer() as server, tempfile.TemporaryDirectory(prefix="rollout-") as folder:
        wrong = asyncio.run(restarted(server.url, Path(folder), kind, rounds, customers))
    print("\n".join(["CUSTOMERS SAW:", *wrong[:50]]) if wrong else "customers saw nothing of it")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
