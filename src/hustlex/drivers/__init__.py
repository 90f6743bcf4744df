"""Drivers: the only code that owns sockets.

How a call flows: ``aio/driver.py`` or ``blocking.py`` gets an operation, ``pack.py`` makes its bytes, a connection
sends them, the operation's decoder reads the reply. ``faults.py`` is the one table of what may be repeated after a
failure. ``url.py`` reads addresses. ``embedded.py``, ``launch.py`` and ``binary.py`` start a server for development
and tests.
"""
