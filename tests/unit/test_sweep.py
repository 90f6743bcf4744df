"""The sweep of bad input itself: it tells of interpreter's errors, of hangs, and of what was left out."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from hustlex.core import check
from tests.support import sweep
from tests.support.sweep import Sample, complaints, unswept

CHECKS = [
    Sample(check.identity, {"name": "user", "value": "u7"}, spare={"name": sweep.ODD.keys()}),
    *(
        Sample(judge, {"name": "option", "value": fits}, spare={"name": sweep.ODD.keys()})
        for judge, fits in (
            (check.text, "a"),
            (check.whole, 1),
            (check.number, 1.5),
            (check.duration, sweep.ODD["no time"]),
            (check.moment, sweep.ODD["datetime.min"]),
            (check.flag, True),
            (check.several, [1]),
            (check.function, sweep.complaints),
        )
    ),
]


@pytest.mark.parametrize("sample", CHECKS, ids=str)
async def test_a_check_answers_or_says_what_to_pass(sample: Sample) -> None:
    assert await complaints(sample) == []


async def test_an_error_of_the_interpreter_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def half(number: Any, of: int = 2) -> float:
        return number / of  # type: ignore[no-any-return]

    async def waits(number: Any) -> None:
        await (asyncio.sleep(0) if number == 0 else asyncio.Event().wait())

    monkeypatch.setattr(sweep, "_PATIENCE_S", 0.02)
    odd = {"None": None, "0": 0}
    assert [
        said.partition(": ")[2].partition(":")[0] for said in await complaints(Sample(half, {"number": 1}), odd=odd)
    ] == ["TypeError"]
    assert await complaints(Sample(waits, {"number": 0}), odd=odd) == [
        f"{waits.__qualname__}(number=None): no answer within 0 s"
    ]
    assert unswept([half], [Sample(half, {"number": 1})]) == {f"{half.__qualname__}(of)"}
