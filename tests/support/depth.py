"""How many examples a property is tried with: all of them with ``HUSTLEX_TEST_DEEP``, as in CI; else a third."""

from __future__ import annotations

import os

DEEP = bool(os.environ.get("HUSTLEX_TEST_DEEP"))
_SHARE = 3


def examples(most: int) -> int:
    """For ``max_examples``."""
    return most if DEEP else -(-most // _SHARE)
