"""What users would pick instead, each at its best settings.

A queue peer is a module with ``SETTINGS`` (one line), ``enqueue(url, load) -> rates``,
``work(url, ledger, **settings)`` (a worker until SIGTERM) and ``left(client) -> int`` (jobs the server still holds).
A GET peer is a module with ``connect(url) -> (get, close)``.
"""
