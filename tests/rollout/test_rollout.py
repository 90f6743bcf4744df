"""A rollout in short: an API and a worker of the old code beside those of the new, then SIGTERM to the old ones.

``make rollout`` plays it with more of each, schedulers and several versions.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.rollout.play import Play, Size


@pytest.mark.timeout(450)
async def test_old_and_new_code_side_by_side_lose_and_double_nothing(url: str, tmp_path: Path) -> None:
    """No answer but 200, though nothing is sent twice; each order has one receipt, though the old worker knows nothing
    of the new code's jobs, and had some in hand when it ended."""
    account = await Play(url, tmp_path, Size()).run(1)
    assert account.wrong == ()
    assert account.by_version.keys() == {1, 2}
