"""``make release-check``: whether what would be published works for who has nothing else.

Builds the sdist and the wheel twice and compares the bytes; holds the wheel against the signed list and the metadata;
installs it into fresh environments, the base and each extra, on each Python there is; runs a part of the tests against
it; compares the processor time of imports with redis-py's; holds the dependencies' licences. ``dist/`` has the files
in the end.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from hustlex.drivers.embedded import EmbeddedServer
from tools import audit
from tools.release import contents
from tools.release.build import ROOT, builder, built, digest, head, uncommitted
from tools.release.environments import VERSIONS, Environment, interpreters
from tools.release.smoke import SECRET, USES

IMPORTS = {
    "import hustlex": 0.35,
    "from hustlex import HustleX": 1.0,
    "from hustlex import Tasks": 1.5,
}
"""The most that each may take, as a multiple of what ``import redis`` takes."""
FRONT = (
    "import asyncio\nfrom hustlex import HustleX\n"
    "async def main():\n"
    f"    async with HustleX({{url!r}}, secret={SECRET!r}) as hx:\n"
    "        await hx.tokens.login('ada')\n"
    "asyncio.run(main())"
)
FRONT_MOST = 1.5
MINE = f"{sys.version_info[0]}.{sys.version_info[1]}"


class Report:
    """What was found. wrong: nothing, if it may be published."""

    def __init__(self) -> None:
        self.wrong: list[str] = []

    def add(self, what: str, faults: list[str], told: str = "") -> None:
        """One line each."""
        print(f"{'WRONG' if faults else 'ok':<6} {what}{': ' + told if told else ''}", flush=True)
        for fault in faults:
            print(f"       {fault}", flush=True)
        self.wrong += [f"{what}: {fault}" for fault in faults]


def build(report: Report, place: Path) -> Path:
    """Twice, as on two machines; the wheel, which is in ``dist`` then."""
    python = builder(place / "builder")
    commit, when = head()
    first = built(python, place / "first", commit, when, umask=0o022, zone="UTC")
    second = built(python, place / "second", commit, when, umask=0o077, zone="Africa/Lagos")
    different = [one.name for one, other in zip(first, second, strict=True) if one.read_bytes() != other.read_bytes()]
    sizes = f"{commit[:10]}: " + ", ".join(f"{path.name} {path.stat().st_size:,} bytes" for path in first)
    report.add("built twice, the same bytes", [f"{name} differs" for name in different], sizes)
    dist = ROOT / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    dist.mkdir()
    for path in first:
        shutil.copy(path, dist)
    (dist / "SHA256SUMS").write_text("".join(f"{digest(path)}  {path.name}\n" for path in first))
    return next(dist.glob("*.whl"))


def install(report: Report, place: Path, wheel: Path, version: str, program: str, url: str) -> None:
    """The base, and each extra by itself; on other Pythons than this one all extras in one environment."""
    mine = version == MINE
    for extras in [[extra] for extra in USES] if mine else [[""], [extra for extra in USES if extra]]:
        home = Environment(place / f"{version}-{extras[0] or 'base'}", program, wheel, ",".join(extras))
        faults = [home.fault] if home.fault else [fault for extra in extras if (fault := home.smoke(extra, url))]
        report.add(f"Python {version}, {' '.join(extras) or 'base'}", faults)
        shutil.rmtree(home.place)


def imports(report: Report, place: Path, wheel: Path, url: str) -> None:
    """Processor time over that of the bare interpreter, as a multiple of redis-py's."""
    home = Environment(place / "imports", sys.executable, wheel)
    bare = home.cpu_ms("pass")
    redis = home.cpu_ms("import redis") - bare
    wanted = IMPORTS | {FRONT.format(url=url): FRONT_MOST}
    for statement, most in wanted.items():
        spent = home.cpu_ms(statement) - bare
        name = statement if "\n" not in statement else "a front, opened, and one call"
        told = f"{spent:.0f} ms over {bare:.0f}, {spent / redis:.2f} of redis-py's {redis:.0f} ms (at most {most})"
        report.add(f"time: {name}", [] if spent <= most * redis else [told], told)


def main() -> int:
    """1 when something is wrong."""
    parser = argparse.ArgumentParser(prog="make release-check", description=__doc__)
    parser.add_argument("--build", action="store_true", help="build and look into the wheel, and no more")
    parser.add_argument("--quick", action="store_true", help="this Python, and no tests")
    parser.add_argument("--python", choices=VERSIONS, help="one Python alone")
    chosen = parser.parse_args()
    report = Report()
    if changed := uncommitted():
        print(f"{len(changed)} files are not as in the commit, which alone is built: {changed[0]}, ...")
    with tempfile.TemporaryDirectory(prefix="release-") as folder:
        place = Path(folder)
        wheel = build(report, place)
        report.add("contents, metadata, size", contents.faults(wheel), f"{len(contents.shipped())} files")
        report.add("licences of what it brings along", audit.faults(audit.rows()))
        if not chosen.build:
            with EmbeddedServer() as server:
                installed(report, place, wheel, server.url, MINE if chosen.quick else chosen.python, chosen.quick)
    print("\n".join(report.wrong) or "it may be published")
    return 1 if report.wrong else 0


def installed(report: Report, place: Path, wheel: Path, url: str, only: str | None, quick: bool) -> None:
    """Everything that needs environments."""
    found = {version: program for version, program in interpreters().items() if only in (None, version)}
    print(f"tried with Python {', '.join(found) or '(none of these runs here)'}; nothing is said of others")
    if MINE in found:
        imports(report, place, wheel, url)
    for version, program in found.items():
        install(report, place, wheel, version, program, url)
        if not quick:
            home = Environment(place / f"{version}-tests", program, wheel, "dev")
            fault = home.fault or home.test()
            report.add(f"Python {version}, tests", [fault] if fault else [])
            shutil.rmtree(home.place)


if __name__ == "__main__":
    sys.exit(main())
