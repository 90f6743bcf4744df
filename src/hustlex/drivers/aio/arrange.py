"""From a URL to the arrangement of servers that it names."""

from __future__ import annotations

from collections.abc import Callable

from hustlex.drivers.aio.dial import Fixed
from hustlex.drivers.aio.options import Options
from hustlex.drivers.aio.router import Arrange
from hustlex.drivers.aio.topology import Single, Topology
from hustlex.drivers.url import Endpoint


def arranged(endpoint: Endpoint) -> Arrange:
    """What makes the topology."""

    def single(options: Options, on_doubt: Callable[[float], None], _: Callable[[], None]) -> Topology:
        return Single(Fixed(endpoint), options, on_doubt)

    return single
