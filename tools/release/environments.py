"""Fresh environments that hold the wheel, what it requires, and nothing of the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SMOKE = Path(__file__).with_name("smoke.py")
VERSIONS = ("3.11", "3.12", "3.13", "3.14")
TESTED = (
    "tests/contract/test_drivers.py",
    "tests/contract/test_otp.py",
    "tests/contract/test_tokens.py",
    "tests/contract/test_ratelimit_operations.py",
    "tests/contract/test_idempotency.py",
    "tests/contract/test_pins.py",
    "tests/contract/test_cache.py",
    "tests/contract/test_events.py",
    "tests/contract/test_jobs.py",
    "tests/worker/test_running.py",
    "tests/web/test_auth.py",
    "tests/web/test_health.py",
    "tests/testing",
    "tests/rollout",
)
"""A file or two of each room, the worker, the web doors, the plugin of pytest, and a rollout."""


def interpreters() -> dict[str, str]:
    """Those of the supported versions that run here: version and program."""
    found = {}
    for version in VERSIONS:
        kept = sorted(Path.home().glob(f".pyenv/versions/{version}*/bin/python{version}"))
        for program in (f"python{version}", f"/usr/bin/python{version}", *map(str, kept)):
            path = shutil.which(program)
            if path and _says(path) == version:
                found[version] = path
    mine = f"{sys.version_info[0]}.{sys.version_info[1]}"
    return dict(sorted(({mine: sys.executable} | found).items()))


def _says(program: str) -> str:
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    ran = subprocess.run([program, "-c", code], capture_output=True, text=True, check=False)
    return ran.stdout.strip()


class Environment:
    """One of them. extras: as ``web,server``, "" for the base alone."""

    def __init__(self, place: Path, program: str, wheel: Path, extras: str = "") -> None:
        self.place = place
        self.python = place / "bin" / "python"
        subprocess.run([program, "-m", "venv", "--without-pip", str(place)], check=True)
        pip = [sys.executable, "-m", "pip", "--python", str(self.python), "install", "--quiet", "--no-compile"]
        wanted = f"{wheel}[{extras}]" if extras else str(wheel)
        ran = subprocess.run(
            [*pip, "--disable-pip-version-check", "-c", str(ROOT / "constraints.txt"), wanted],
            cwd=place,
            capture_output=True,
            text=True,
            check=False,
        )
        self.fault = (ran.stderr.strip() or "pip failed") if ran.returncode else ""

    def smoke(self, extra: str, url: str) -> str:
        """Use what this extra brings; "" when it works."""
        ran = subprocess.run(
            [str(self.python), "-I", str(SMOKE), extra, url, str(ROOT)],
            cwd=self.place, env=_bare(), capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        return "" if ran.returncode == 0 else (ran.stdout + ran.stderr)[-2000:]

    def test(self) -> str:
        """A fitting part of the tests, from a copy that has no ``src``; the last line of pytest."""
        copy = self.place / "copy"
        for folder in ("tests", "tools", "examples", "docs"):
            shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__", "pictures"))
        text = (ROOT / "pyproject.toml").read_text("utf-8").replace('pythonpath = ["src", "."]', 'pythonpath = ["."]')
        (copy / "pyproject.toml").write_text(text, "utf-8")
        ran = subprocess.run(
            [str(self.python), "-m", "pytest", "-q", "-n", "2", "--dist", "worksteal", *TESTED],
            cwd=copy, env=_bare(), capture_output=True, text=True, check=False,
        )  # fmt: skip
        print(ran.stdout[-3000:] if ran.returncode else ran.stdout.strip().splitlines()[-1])
        return "" if ran.returncode == 0 else "the tests failed"

    def cpu_ms(self, statement: str) -> float:
        """Processor time of a fresh interpreter that runs this, ms: the least of some."""
        return min(self._cpu_ms(statement) for _ in range(7))

    def _cpu_ms(self, statement: str) -> float:
        child = subprocess.Popen([str(self.python), "-I", "-c", statement], cwd=self.place, env=_bare())
        _, status, spent = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            sys.exit(f"cannot run: {statement}")
        return 1000 * (spent.ru_utime + spent.ru_stime)


def _bare() -> dict[str, str]:
    """The environment without what leads to the checkout or sets hustlex up."""
    left_out = ("HUSTLEX_", "PYTHON", "VIRTUAL_ENV", "PYTEST")
    return {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
