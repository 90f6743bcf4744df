"""The blocking front: the same names as ``hustlex``, without await, for threads, scripts and WSGI applications."""

from hustlex._sync.app import HustleX

__all__ = ["HustleX"]
