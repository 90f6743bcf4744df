"""One queue as several: names that never change, spread over a cluster, and one for each key."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from hustlex.core.keys import SLOTS, slot
from hustlex.jobs import Partitions
from hustlex.jobs.keys import queue_keys


def test_names_are_the_same_in_every_version() -> None:
    """Other processes, of this version or another, enqueue into them."""
    assert Partitions("mail", 4).queues == ("mail.0-4", "mail.1-2", "mail.2-4", "mail.3-2")
    assert [Partitions("mail", 4).of(key) for key in ("ada", 7, "7")] == ["mail.0-4", "mail.2-4", "mail.2-4"]


@given(st.text("abcdefgh-._", min_size=1, max_size=20), st.integers(2, 64))
def test_each_has_an_equal_part_of_the_slots_to_itself(stem: str, count: int) -> None:
    for number, queue in enumerate(Partitions(stem, count).queues):
        assert SLOTS * number // count <= slot(queue_keys(queue).pending) < SLOTS * (number + 1) // count


def test_keys_are_spread_evenly() -> None:
    mail = Partitions("mail", 8)
    found = Counter(mail.of(number) for number in range(8_000))
    assert set(found) == set(mail.queues)
    assert 850 < min(found.values()) <= max(found.values()) < 1_150


def test_a_worker_takes_them_with_equal_shares() -> None:
    mail = Partitions("mail", 2)
    assert mail.shares(3) == {mail.queues[0]: 3, mail.queues[1]: 3}
