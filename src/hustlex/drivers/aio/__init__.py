"""The async driver: one multiplexed, auto-pipelined RESP3 connection per server."""

from hustlex.drivers.aio.driver import Driver
from hustlex.drivers.aio.options import Options

__all__ = ["Driver", "Options"]
