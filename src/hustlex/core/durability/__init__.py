"""How safe a write is before its caller is answered: on the disk, on a replica, or neither.

``level`` has the words and what the server is asked, ``committed`` a flow that waits, ``aio`` and ``blocking`` a driver
that does.
"""
