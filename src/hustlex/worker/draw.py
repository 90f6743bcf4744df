"""Which queues the free slots go to."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

from hustlex.worker.source import Source


def weighted(sources: Sequence[Source], slots: int) -> dict[Source, int]:
    """A weighted draw for each slot, as Asynq draws for each task: {critical 6, default 3, low 1} is 60/30/10 %.

    Among queues that may have tasks this equals Asynq's draw without replacement, which passes over empty ones.
    """
    if len(sources) == 1:
        return {sources[0]: slots}
    return Counter(random.choices(sources, [source.weight for source in sources], k=slots))


def strict(sources: Sequence[Source], slots: int) -> dict[Source, int]:
    """Everything to the queue of the highest weight."""
    return {max(sources, key=lambda source: source.weight): slots}
