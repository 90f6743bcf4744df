"""Build the site: ``python -m tools.site.build [TARGET]``. Anything that is not in order ends it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

from tools.site import api, finished
from tools.site.source import ROOT, SiteSource, configuration


def build(target: Path) -> list[str]:
    """The site in a folder; what is wrong with it."""
    generated = api.pages()
    with tempfile.TemporaryDirectory() as place:
        pages = Path(place) / "docs"
        SiteSource(pages).write(generated)
        settings = configuration(pages) | {"docs_dir": "docs", "site_dir": "site"}
        (Path(place) / "mkdocs.yml").write_text(yaml.safe_dump(settings, sort_keys=False), "utf-8")
        command = [sys.executable, "-m", "zensical", "build", "--strict", "--config-file", "mkdocs.yml"]
        built = subprocess.run(command, cwd=place, check=False, capture_output=True, text=True)
        if built.returncode:
            return [built.stdout + built.stderr]
        shutil.rmtree(target, ignore_errors=True)
        shutil.move(Path(place) / "site", target)
    return list(finished.problems(target))


def main(arguments: list[str]) -> int:
    target = Path(arguments[0]) if arguments else ROOT / "build" / "site"
    wrong = build(target)
    for line in wrong:
        print(line)
    if not wrong:
        print(f"{sum(1 for _ in target.rglob('*.html'))} pages in {target}: open {target / 'index.html'}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
