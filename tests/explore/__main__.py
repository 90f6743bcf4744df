"""``make explore``: every protocol, as far as there is time, and every fault put in on purpose.

REPLAY=<protocol>:<numbers> tells one schedule; <protocol>/<mutation>:<numbers> with that fault in it. ONLY=<protocol>.
QUICK=1: the bounds of the test suite.
"""

from __future__ import annotations

import argparse
import sys
import time

from tests.explore.engine import Explorer, Mutation, Protocol, describe, explored
from tests.explore.protocols import PROTOCOLS
from tests.explore.server import ExploredServer, explored_server
from tests.explore.world import Bounds


def main() -> int:
    parser = argparse.ArgumentParser(prog="make explore", description=__doc__)
    parser.add_argument("--replay", default="")
    parser.add_argument("--only", default="")
    parser.add_argument("--quick", action="store_true")
    chosen = parser.parse_args()
    with explored_server() as server:
        if chosen.replay:
            return _replay(server, chosen.replay)
        return _all(server, chosen.only, chosen.quick)


def _all(server: ExploredServer, only: str, quick: bool) -> int:
    failed = 0
    for protocol in PROTOCOLS.values():
        if only in ("", protocol.name):
            failed += _one(server, protocol, quick)
    print("every invariant held, every fault put in was caught" if not failed else f"{failed} failed")
    return 1 if failed else 0


def _one(server: ExploredServer, protocol: Protocol, quick: bool) -> int:
    began = time.perf_counter()
    report = explored(protocol, server, protocol.short if quick else protocol.long)
    print(f"{describe(report)}, {time.perf_counter() - began:.1f} s", flush=True)
    failed = int(bool(report.broken))
    for mutation in protocol.mutations():
        caught = explored(protocol, server, protocol.short, mutation)
        how = f"caught after {caught.states:,} states: {caught.broken}" if caught.broken else "NOT CAUGHT"
        print(f"  {mutation.name}: {how} (REPLAY={caught.protocol}:{caught.numbers})", flush=True)
        failed += not caught.broken
    return failed


def _replay(server: ExploredServer, text: str) -> int:
    name, _, numbers = text.partition(":")
    protocol, mutation = named(name)
    report = Explorer(protocol, server, Bounds(), mutation).replay([int(n) for n in numbers.split(".") if n])
    print(describe(report))
    return 1 if report.broken else 0


def named(name: str) -> tuple[Protocol, Mutation | None]:
    """A protocol, and a fault of it: ``jobs`` or ``jobs/two-of-one-lock``."""
    room, _, fault = name.partition("/")
    protocol = PROTOCOLS[room]
    return protocol, next((each for each in protocol.mutations() if each.name == fault), None)


if __name__ == "__main__":
    sys.exit(main())
