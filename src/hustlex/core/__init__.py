"""Ground: building blocks that know no room and no socket.

What a call is made of: ``op.py`` (an operation, a flow and what a driver must do with them), ``lua.py`` (scripts and
their contracts), ``keys.py`` and ``keyring.py`` (key names and what is derived from the secret), ``codec.py`` and
``time.py``. ``check.py`` judges every argument and option. ``outcome.py`` is the base of results, ``telemetry.py``
tells the hook.
"""
