"""Who was refused most in this process: some callers of each policy, counted in a bounded place."""

from __future__ import annotations

import threading

_COUNTED = 50
_MOST_POLICIES = 100


class CallerSketch:
    """Callers of each policy by how often they were refused since they were told last; of any number 50 are counted.

    Who comes when all places are taken takes that of the one with the fewest, and what that one had is its doubt: it is
    told only what it surely had. Whoever makes up more than a fiftieth of a policy's refusals has a place.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._policies: dict[str, dict[str, tuple[int, int]]] = {}

    def note(self, policy: str, caller: str) -> None:
        """It was refused."""
        with self._lock:
            found = self._policies.get(policy)
            if found is None:
                if len(self._policies) >= _MOST_POLICIES:
                    return
                found = self._policies[policy] = {}
            known = found.get(caller)
            if known is None:
                known = (0, 0) if len(found) < _COUNTED else self._emptied(found)
            found[caller] = (known[0] + 1, known[1])

    @staticmethod
    def _emptied(found: dict[str, tuple[int, int]]) -> tuple[int, int]:
        """The place of the one with the fewest: what its next owner has, and may not have."""
        times, _ = found.pop(min(found, key=found.__getitem__))
        return times, times

    def take(self) -> list[tuple[str, str, int]]:
        """Policy, caller and how often at least, out of here."""
        with self._lock:
            policies, self._policies = self._policies, {}
        return [
            (policy, caller, times - doubt)
            for policy, callers in policies.items()
            for caller, (times, doubt) in callers.items()
        ]
