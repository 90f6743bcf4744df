"""Hold the shape: a function has at most 40 lines of body, a file at most 400. Tests and generated code are free."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
FOLDERS = ("src", "examples", "tools")
LONGEST_FUNCTION = 40
LONGEST_FILE = 400


def offenders(source: str, where: str) -> Iterator[str]:
    """One line for everything too long in a file's source."""
    length = len(source.splitlines())
    if length > LONGEST_FILE:
        yield f"{where}: {length} lines, at most {LONGEST_FILE}: does it still hold one idea?"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (size := _body(node)) > LONGEST_FUNCTION:
            yield f"{where}:{node.lineno}: {node.name} has {size} lines of body, at most {LONGEST_FUNCTION}"


def _body(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from the first statement after the docstring to the end."""
    statements = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return (function.end_lineno or 0) - statements[0].lineno + 1 if statements else 0


def main() -> int:
    paths = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py")) if "_sync" not in path.parts]
    found = [line for path in paths for line in offenders(path.read_text("utf-8"), str(path.relative_to(ROOT)))]
    print("\n".join(found) or f"shape: {len(paths)} files hold")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
