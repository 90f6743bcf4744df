"""How long tasks waited and ran, as workers told it: percentiles that are bounds, by queue and by type."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hustlex.app import HustleX
from hustlex.errors import Misuse
from hustlex.metrics import Durations, Metrics, history, task_durations
from hustlex.metrics.declared import RUN
from hustlex.metrics.history import HistoryTally
from tests.conftest import PATIENCE, SECRET

NOW_MS = 1_795_425_653_000
HOUR = 3_600_000


async def told(hx: HustleX, tally: HistoryTally, at_ms: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A report of this moment; what is read later is as of then, too."""
    monkeypatch.setattr("hustlex.metrics.durations.server_clock", lambda: at_ms)
    monkeypatch.setattr(history, "server_clock", lambda: at_ms)
    await hx.driver.run(tally.report(hx.prefix))


async def test_percentiles_are_of_the_last_day_by_type_and_of_all(
    url: str, metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with HustleX(url, secret=SECRET, timeout=PATIENCE, prefix="p:") as hx:
        tally, run, wait = HistoryTally(metrics), metrics.families["task_duration_seconds"], metrics.families
        run.observe(400.0, ("mail",), 1_000)
        await told(hx, tally, NOW_MS - 25 * HOUR, monkeypatch)  # over a day ago
        run.observe(0.02, ("mail",), 90)
        run.observe(3.0, ("pay",), 5)
        await told(hx, tally, NOW_MS - 3 * HOUR, monkeypatch)
        run.observe(0.4, ("mail",), 10)
        run.observe(5_000.0, ("pay",), 5)
        wait["task_wait_seconds"].observe(0.07, ("critical",), 7)
        await told(hx, tally, NOW_MS, monkeypatch)
        found = await task_durations(hx, "run")
        assert list(found) == ["", "mail", "pay"]
        mail, pay, every = found["mail"], found["pay"], found[""]
        assert (mail.count, pay.count, every.count) == (100, 10, 110)
        assert [mail.percentile(share) for share in (0.5, 0.9, 0.95, 1.0)] == seconds(0.025, 0.025, 0.5, 0.5)
        assert [pay.percentile(share) for share in (0.5, 0.51)] == [timedelta(seconds=5), None]
        assert [n for n, each in enumerate(mail.by_hour(0.5)) if each] == [20, 23]
        assert mail.by_hour(0.5)[20] == timedelta(seconds=0.025)
        waits = await task_durations(hx, "wait")
        assert {name: each.percentile(0.99) for name, each in waits.items()} == dict.fromkeys(
            ("", "critical"), timedelta(seconds=0.1)
        )


def seconds(*numbers: float) -> list[timedelta]:
    return [timedelta(seconds=number) for number in numbers]


@given(st.lists(st.floats(0, 2_000), min_size=1, max_size=60), st.floats(0.01, 1))
def test_a_percentile_is_a_bound_of_what_was_observed(taken: list[float], share: float) -> None:
    """At least this share lies within it, and less within the bound before."""
    metrics = Metrics()
    for each in taken:
        metrics.families["task_duration_seconds"].observe(each, ("mail",))
    figures = [int(n) for n in metrics.families.board.numbers[32 : 32 + len(RUN) + 1]]
    bound = Durations(RUN, (tuple(figures),)).percentile(share)
    if bound is None:
        assert sum(each <= RUN[-1] for each in taken) < share * len(taken)
    else:
        place = RUN.index(bound.total_seconds())
        assert sum(each <= RUN[place] for each in taken) >= share * len(taken)
        assert not place or sum(each <= RUN[place - 1] for each in taken) < share * len(taken)


async def test_what_cannot_be_asked_is_refused(url: str) -> None:
    async with HustleX(url) as hx:
        for what in ("weather", 7, None):
            with pytest.raises(Misuse):
                await task_durations(hx, what)  # type: ignore[arg-type]
    nobody: Any = Durations((1.0,), ())
    assert nobody.count == 0 and nobody.percentile(0.5) is None
    with pytest.raises(Misuse):
        nobody.percentile(1.5)
