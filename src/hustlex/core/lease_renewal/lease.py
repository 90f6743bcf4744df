"""What the holder of a lease can see of it."""

from __future__ import annotations


class Lease:
    """lost: True once the server has said that the lease belongs to somebody else; stop before the next effect."""

    def __init__(self) -> None:
        self.lost = False
