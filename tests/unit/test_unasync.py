"""The generator of blocking twins, and that the twins in the repository are what it writes."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tools.unasync import NAMES, PACKAGE, twins, unasync


@pytest.mark.parametrize(
    ("source", "twin"),
    [
        ("async def f() -> None: ...\n", "def f() -> None: ...\n"),
        ("x = await d.run(op)\n", "x = d.run(op)\n"),
        ("x = [await d.run(op)]\n", "x = [d.run(op)]\n"),
        ("async def f():\n    async with a as b:\n        pass\n", "def f():\n    with a as b:\n        pass\n"),
        ("async def f():\n    return [x async for x in y]\n", "def f():\n    return [x for x in y]\n"),
        ("def f(d: AsyncDriver): ...\n", "def f(d: BlockingDriver): ...\n"),
        ("async def __aenter__(self): ...\n", "def __enter__(self): ...\n"),
        ("x: Callable[[int], Awaitable[list[T]]]\n", "x: Callable[[int], list[T]]\n"),
        ("x: Awaitable[Awaitable[T]] | None\n", "x: T | None\n"),
        ("from hustlex.otp.api import Otp\n", "from hustlex._sync.otp import Otp\n"),
        ("    from hustlex.otp.api import Otp\n", "    from hustlex._sync.otp import Otp\n"),
        ("from hustlex.otp import ops\n", "from hustlex.otp import ops\n"),
        ("from hustlex.drivers.aio import Driver\n", "from hustlex.drivers.blocking import Driver\n"),
        ('"""Use ``await hx.otp.verify()``; async methods."""\n', '"""Use ``hx.otp.verify()``; async methods."""\n'),
        ("async_value = awaited\n", "async_value = awaited\n"),
        ("# await nothing\n", "# await nothing\n"),
        ("a = 1\n# async only: it waits\nb = 2\n\n# end of async only\nc = 3\n", "a = 1\nc = 3\n"),
        ("if x:\n    a\n    # async only\n    b\n    # end of async only\n    c\n", "if x:\n    a\n    c\n"),
        ('"""é → ü"""\nx = await f("→")  # →\n', '"""é → ü"""\nx = f("→")  # →\n'),
        ("x = f(\n    await g(),\n    h,\n)\n", "x = f(\n    g(),\n    h,\n)\n"),
    ],
)
def test_translation(source: str, twin: str) -> None:
    if source.startswith("    "):
        source, twin = f"if x:\n{source}", f"if x:\n{twin}"
    assert unasync(source) == twin


def test_an_open_fence_is_refused() -> None:
    with pytest.raises(ValueError, match="never closed"):
        unasync("# async only\nx = 1\n")


def test_blocking_code_is_left_alone() -> None:
    source = 'import os\n\n\nclass A:\n    x = {"a": [1, (2, 3)]}\n\n    def f(self):\n        return f"{os}"\n'
    assert unasync(source) == source


@pytest.mark.parametrize("path", sorted([*PACKAGE.glob("*/api.py"), *PACKAGE.glob("*/inspector.py")]), ids=str)
def test_rooms_hold_nothing_that_translation_could_break(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not imported & {"asyncio", "anyio", "threading", "inspect"}


def test_twins_are_blocking() -> None:
    for path, text in twins().items():
        kinds = {type(node) for node in ast.walk(ast.parse(text))}
        assert not kinds & {ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith}, path
        names = {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}
        assert not names & (NAMES.keys() | {"Awaitable"}), path
