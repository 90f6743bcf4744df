"""Keeping a lease alive while its holder works: as a task in ``aio``, as a thread in ``blocking``."""

from hustlex.core.lease_renewal.lease import Lease

__all__ = ["Lease"]
