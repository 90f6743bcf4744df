"""Build the site: ``python -m tools.site.build [TARGET]``. Anything that is not in order ends it."""

from __future__ import annotations

import os
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
        settings = configuration(pages) | {"site_dir": str(target.resolve())}
        theme = Path(place) / "mkdocs.yml"
        theme.write_text(yaml.safe_dump(settings, sort_keys=False), "utf-8")
        shutil.rmtree(target, ignore_errors=True)
        command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--config-file", str(theme)]
        quiet = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
        if subprocess.run(command, env=quiet, check=False).returncode:
            return ["mkdocs does not build it"]
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
