"""``make pyright``: README, guides, tutorial, moves and examples as a user's programs, read by pyright in strict mode.

Beside mypy, which reads the first two in ``tests/typing``. basedpyright brings pyright and its Node; it is large,
so ``make pyright`` fetches it when it is asked for first, and ``make check`` goes without.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.typing.test_typing import MODULES, readme

ROOT = Path(__file__).parents[1]
EXAMPLES = ("shop", "crawl", "flask_notes", "django_polls", "go_resize")
UNTYPED = {
    "models.py": "the fields of Django's models have their types by a plugin of mypy alone",
    "failures_sentry_hooks.py": "Sentry is not installed",
}
SILENT = {
    "reportDeprecated": "AsyncIterator under asynccontextmanager: what stands for it needs Python 3.13",
    "reportUnusedVariable": "the README shows what comes back",
    "reportUnusedImport": "a page shows its imports once, for all of its blocks",
    "reportDuplicateImport": "or again, where somebody begins to read",
    "reportMissingTypeStubs": "of other packages",
    "reportUnusedFunction": "routes inside a function",
}
"""Files and rules that say nothing of our types, each with its reason."""


def complaints(folder: Path) -> Iterator[str]:
    """One line for each error in the programs of this folder and the examples."""
    settings = {"typeCheckingMode": "strict", "pythonVersion": "3.11", "extraPaths": [str(ROOT / "src"), str(ROOT)]}
    settings |= {"include": [str(folder), *(str(ROOT / "examples" / name) for name in EXAMPLES)]}
    settings |= dict.fromkeys(SILENT, False) | {"pythonPath": sys.executable}
    (folder / "pyrightconfig.json").write_text(json.dumps(settings), "utf-8")
    command = [sys.executable, "-m", "basedpyright", "-p", str(folder), "--outputjson", "--pythonpath", sys.executable]
    told = json.loads(subprocess.run(command, capture_output=True, text=True, check=False).stdout)
    for found in told["generalDiagnostics"]:
        path = Path(found["file"])
        if found["severity"] == "error" and path.name not in UNTYPED:
            line = found["range"]["start"]["line"] + 1
            yield f"{path.parent.name}/{path.name}:{line}: {found['message']} ({found.get('rule', '')})"
    if not told["summary"]["filesAnalyzed"]:
        yield "nothing was read"


def main() -> int:
    with TemporaryDirectory() as folder:
        for name, code in {"readme.py": readme(), **MODULES}.items():
            (Path(folder) / name).write_text(code, "utf-8")
        found = list(complaints(Path(folder)))
    print("\n".join(found) or f"pyright: {len(MODULES) + 1} programs and {len(EXAMPLES)} examples hold")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
