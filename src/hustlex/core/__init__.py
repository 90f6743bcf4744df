"""Ground: building blocks that know no room and no socket.

What a call is made of: ``op.py`` (an operation, a flow and what a driver must do with them), ``lua.py`` (scripts and
their contracts), ``keys.py`` and ``keyring.py`` (key names and what is derived from the secret), ``codec.py`` and
``time.py``. ``check.py`` judges every argument and option. ``outcome.py`` is the base of results, ``telemetry.py``
tells the hook.

All is plain values and functions, but for ``background/`` (starts a task or a thread, and ends it), which
``lease_renewal/`` and ``follower/`` use, and ``forks.py`` (told by Python when a process forks).
"""
