"""What ``tools/check_sleeps.py`` calls a sleep for luck."""

from __future__ import annotations

import ast

import pytest

from tools.check_sleeps import ALLOWED, sleeps


@pytest.mark.parametrize(
    ("body", "refused"),
    [
        ("await asyncio.sleep(0.1)", True),
        ("time.sleep(0.001)", True),
        ("sleep(seconds)", True),
        ("await asyncio.sleep(0)", False),
        ("await asyncio.sleep(60)", False),
        ("while not done(): await asyncio.sleep(0.01)", False),
        ("for n in range(9): await asyncio.sleep(0.01)", True),
        ("async def handler(): await asyncio.sleep(0.01)", False),
        ("async def handler(): await asyncio.sleep(0.1)", True),
        ("async def handler(): await asyncio.sleep(0 if n else 0.01)", False),
        ("async def handler():\n  while True:\n    def work(): time.sleep(0.2)", True),
    ],
)
def test_a_sleep_of_a_test_is_seen(body: str, refused: bool) -> None:
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    found = list(sleeps(ast.parse(f"async def test_it():\n{lines}\n")))
    assert [name for name, _ in found] == (["test_it"] if refused else [])


def test_every_permission_has_a_reason() -> None:
    assert all(len(reason) > 8 for reason in ALLOWED.values())
