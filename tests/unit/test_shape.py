"""The shape check sees what is too long, and only that."""

from __future__ import annotations

from tools.check_shape import offenders


def function(lines: int) -> str:
    return 'def f():\n    """Doc.\n\n    More.\n    """\n' + "    x = 1\n" * lines


def test_forty_lines_of_body_hold_and_one_more_does_not() -> None:
    assert list(offenders(function(40), "a.py")) == []
    assert list(offenders(function(41), "a.py")) == ["a.py:1: f has 41 lines of body, at most 40"]


def test_async_and_nested_functions_count() -> None:
    nested = "class A:\n    async def g(self):\n" + "        x = 1\n" * 41
    assert list(offenders(nested, "a.py")) == ["a.py:2: g has 41 lines of body, at most 40"]


def test_four_hundred_lines_hold() -> None:
    assert list(offenders("x = 1\n" * 400, "a.py")) == []
    assert "401 lines" in next(iter(offenders("x = 1\n" * 401, "a.py")))
