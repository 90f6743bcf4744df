"""Hold the wiring: an object's attributes are set by itself, never from outside. So what a part uses stands in its
constructor, and what composes the parts is read in one place.

Free is what a function has made itself and nobody else has seen.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
ROOMS = ("worker", "jobs", "otp", "tokens", "idempotency", "pins", "events", "delivery", "outbox", "dashboard")
ROOMS += ("diagnostics",)
FREE = {
    "src/hustlex/dashboard/cost.py": "a copy of the front, made for one page, whose calls are counted",
    "src/hustlex/jobs/search/flows.py": "a page and its budget are counters of one search",
    "src/hustlex/jobs/wire.py": "a descriptor of protobuf is filled from outside",
    "src/hustlex/outbox/table.py": "a row of SQLAlchemy takes its values so",
    "src/hustlex/tokens/guard.py": "a token keeps its question: a call less in each check",
}
"""Files that may, each with its reason."""
_Function = ast.FunctionDef | ast.AsyncFunctionDef


def offenders(source: str, where: str) -> Iterator[str]:
    """One line for each attribute of another object that a file's source sets."""
    for function in [node for node in ast.walk(ast.parse(source)) if isinstance(node, _Function)]:
        own = {"self", "cls"} | set(_made(function))
        for node in _within(function):
            for target in _targets(node):
                if not (isinstance(target.value, ast.Name) and target.value.id in own):
                    yield f"{where}:{target.lineno}: {ast.unparse(target)} is set from outside: let its owner do it"


def _within(function: _Function) -> Iterator[ast.AST]:
    """What stands in a function, without the functions in it: they are looked at by themselves."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        yield node
        waiting += [each for each in ast.iter_child_nodes(node) if not isinstance(each, _Function)]


def _made(function: _Function) -> Iterator[str]:
    """Variables that hold what the function constructs: ``name = Class(...)``."""
    for node in _within(function):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            called = ast.unparse(node.value.func).rpartition(".")[2]
            if called[:1].isupper():
                yield from (target.id for target in node.targets if isinstance(target, ast.Name))


def _targets(node: ast.AST) -> Iterator[ast.Attribute]:
    """The attributes that a statement sets or deletes."""
    if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store | ast.Del) and node.attr[:2] != "__":
        yield node
    if isinstance(node, ast.Call) and ast.unparse(node.func) in ("setattr", "delattr", "object.__setattr__"):
        yield ast.Attribute(node.args[0], "...", ast.Store(), lineno=node.lineno)


def main() -> int:
    paths = [path for room in ROOMS for path in sorted((ROOT / "src" / "hustlex" / room).rglob("*.py"))]
    paths = [path for path in paths if str(path.relative_to(ROOT)) not in FREE]
    found = [line for path in paths for line in offenders(path.read_text("utf-8"), str(path.relative_to(ROOT)))]
    print("\n".join(found) or f"wiring: {len(paths)} files hold")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
