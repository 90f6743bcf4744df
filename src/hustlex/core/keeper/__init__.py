"""Keeping a lease alive while its holder works: as a task in ``aio``, as a thread in ``blocking``."""

from hustlex.core.keeper.lease import Lease

__all__ = ["Lease"]
