"""What an installation brings along: each package, its version and licence, held against docs/dependencies.md.

``python -m tools.audit`` checks, ``--write`` writes the list. Known vulnerabilities are asked for with pip-audit where
it is installed, because that needs a database on the network; without it, it says so.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "dependencies.md"
EXTRAS = ("otp", "web", "server", "dashboard", "outbox", "gateway", "flask", "django", "testing", "postgres")
PERMITTED = re.compile(r"\b(MIT|MIT-0|0?BSD|Apache|ISC|ISCL|PSF|Python|MPL|Mozilla|Unlicense|Zlib)\b", re.IGNORECASE)
REFUSED = re.compile(r"GPL|GNU|SSPL|AGPL|Commons Clause|Business Source|proprietary", re.IGNORECASE)
HEAD = """<!-- Written by `python -m tools.audit --write`. -->

# What an installation brings along

Direct and indirect dependencies of `hustlex` and of each extra, with the versions that `constraints.txt` pins and the
licences that the packages state. `make audit` fails when one is missing here, is of another version, or has a licence
that is neither permissive nor MPL 2.0.

| package | version | licence | comes with |
| --- | --- | --- | --- |
"""


def closure(extras: tuple[str, ...]) -> dict[str, Distribution]:
    """Everything that ``hustlex[extras]`` requires here, by canonical name, without itself."""
    found: dict[str, Distribution] = {}
    waiting = [("hustlex", extra) for extra in ("", *extras)]
    seen = set(waiting)
    while waiting:
        name, extra = waiting.pop()
        try:
            home = distribution(name)
        except PackageNotFoundError:
            sys.exit(f"{name} is not installed: run `make check` once, which makes the environment")
        found[canonicalize_name(name)] = home
        for text in home.requires or ():
            wanted = Requirement(text)
            if wanted.marker is None or wanted.marker.evaluate({"extra": extra}):
                for inner in ("", *wanted.extras):
                    if (step := (canonicalize_name(wanted.name), inner)) not in seen:
                        seen.add(step)
                        waiting.append(step)
    del found["hustlex"]
    return found


def licence(home: Distribution) -> str:
    """As the package states it: an expression, else its classifiers, else the first line of the field."""
    if stated := home.metadata.get("License-Expression"):
        return str(stated)
    classes = [line.rpartition(" :: ")[2] for line in home.metadata.get_all("Classifier") or () if "License ::" in line]
    first = str(home.metadata.get("License") or "").strip().splitlines()
    return ", ".join(classes) or (first[0] if first else "not stated")


def rows() -> dict[str, tuple[str, str, str]]:
    """Version, licence and what brings each package, by name."""
    base = closure(())
    brought = dict.fromkeys(base, "base")
    for extra in EXTRAS:
        for name in closure((extra,)):
            brought.setdefault(name, "")
            if brought[name] != "base":
                brought[name] = ", ".join(filter(None, (brought[name], extra)))
    homes = closure(EXTRAS)
    return {name: (homes[name].version, licence(homes[name]), brought[name]) for name in sorted(brought)}


def page(found: dict[str, tuple[str, str, str]]) -> str:
    """The list."""
    return HEAD + "".join(f"| {name} | {' | '.join(told)} |\n" for name, told in found.items())


def faults(found: dict[str, tuple[str, str, str]]) -> list[str]:
    """What is wrong, one line each."""
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text("utf-8").split())
    pinned = {canonicalize_name(name): version for name, version in pins.items()}
    wrong = []
    for name, (version, stated, _) in found.items():
        if pinned.get(canonicalize_name(name)) != version:
            wrong.append(f"{name} {version} is installed, constraints.txt pins {pinned.get(name, 'none')}")
        if not PERMITTED.search(stated) or REFUSED.search(stated):
            wrong.append(f"{name} has the licence {stated!r}, which is not among those we take")
    if not PAGE.exists() or PAGE.read_text("utf-8") != page(found):
        wrong.append("docs/dependencies.md is not current: python -m tools.audit --write")
    return wrong


def vulnerabilities() -> int:
    """The exit code of pip-audit, 0 without it."""
    program = Path(sys.executable).with_name("pip-audit")
    found = str(program) if program.exists() else shutil.which("pip-audit")
    if found is None:
        print("known vulnerabilities were not asked for: pip-audit is not installed")
        return 0
    return subprocess.run([found, "--no-deps", "-r", str(ROOT / "constraints.txt")], check=False).returncode


def main() -> int:
    """0 when all is as listed."""
    found = rows()
    if "--write" in sys.argv:
        PAGE.write_text(page(found), "utf-8")
    wrong = faults(found)
    print("\n".join(wrong) or f"{len(found)} packages, all as listed, all of licences we take")
    return 1 if wrong else vulnerabilities()


if __name__ == "__main__":
    sys.exit(main())
