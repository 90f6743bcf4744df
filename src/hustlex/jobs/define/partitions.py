"""One queue as several, for one that outgrows a core of its server: a queue's keys are all in one slot."""

from __future__ import annotations

import zlib

from hustlex.core import check
from hustlex.core.check import Id
from hustlex.core.keys import SLOTS, slot
from hustlex.jobs.keys import LONGEST_NAME, named

_MOST = 64
_ENDING = 12
"""The longest that a name is longer than the stem."""


class Partitions:
    """``mail = Partitions("mail", 4)``: four queues, in a cluster spread evenly over its slots.

    queue: the stem of their names, as ``mail.0-4``. count: 2 to 64. Both are part of the names, so other processes say
    the same, and who changes the count works the old queues off first. Raises Misuse.
    """

    def __init__(self, queue: str, count: int) -> None:
        stem, count = named("queue", queue, LONGEST_NAME - _ENDING), check.whole("count", count, 2, _MOST)
        self.queues = tuple(_placed(stem, number, count) for number in range(count))
        """Their names: for ``HustleX(queues=...)``, for a worker, for Go."""

    def of(self, key: Id) -> str:
        """The queue for everything with this key, as a user's id: ``enqueue(job, queue=mail.of(user_id))``.

        What one key enqueues is in one queue, and so in order. Raises Misuse.
        """
        return self.queues[zlib.crc32(check.identity("key", key).encode()) % len(self.queues)]

    def shares(self, share: int = 1) -> dict[str, int]:
        """For a worker of them all: ``queues={**mail.shares(3), "default": 1}``. Raises Misuse."""
        return dict.fromkeys(self.queues, check.whole("share", share, 1))


def _placed(stem: str, number: int, count: int) -> str:
    """The first name that lies in this part of a cluster's slots."""
    low, high = (SLOTS * edge // count for edge in (number, number + 1))
    suffix = 0
    while True:
        name = f"{stem}.{number}-{suffix}" if suffix else f"{stem}.{number}"
        if low <= slot("{" + name + "}") < high:
            return name
        suffix += 1
