"""The async driver: one multiplexed, auto-pipelined RESP3 connection per server.

How a call flows: ``driver.py`` asks ``topology.py`` for the connection, ``managed_connection.py`` keeps it open and
lets callers wait when it is full, ``dial.py`` opens it, ``connection.py`` writes and reads. What fails goes to
``router.py``, the one loop that repeats. ``arrange.py`` reads from the URL how the servers are arranged, ``node.py`` is
one of them. Commands that block have connections of their own in ``blocking_connections.py``; what a server sends by
itself is heard by ``listener.py`` for ``pubsub.py`` and ``tracking.py``; ``options.py`` holds the limits.
"""

from hustlex.drivers.aio.driver import Driver
from hustlex.drivers.aio.options import Options

__all__ = ["Driver", "Options"]
