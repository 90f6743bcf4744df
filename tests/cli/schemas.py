"""What ``--json`` answers, kept in docs/reference/schemas.json, so that no field goes or changes under an old number.

``python -m tests.cli.schemas`` writes the file anew, from the answers to every example.
"""

from __future__ import annotations

import json
import os
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

FILE = Path(__file__).parents[2] / "docs/reference/schemas.json"
FREE = {"payload", "result", "headers", "data", "queues", "rules", "options"}
"""What stands below is the application's, or named by what there is."""


def fields(answer: Any, path: str = "") -> set[str]:
    """Each name with those above it, as ``items[].state``."""
    if isinstance(answer, list):
        return {path} | {name for each in answer for name in fields(each, f"{path}[]")}
    if not isinstance(answer, dict) or path.rpartition(".")[2] in FREE:
        return {path} if path else set()
    below = ({f"{path}.{name}" if path else name: value} for name, value in answer.items())
    return {found for pair in below for name, value in pair.items() for found in (fields(value, name) or {name})}


def gone(answer: dict[str, Any]) -> list[str]:
    """Names that stood there under this number. A list that is empty now tells nothing of what would be in it."""
    kept, found = set(known()[answer["schema"]]), fields(answer)
    filled = {part.rpartition("[]")[0] for name in found for part in _lists(name)}
    return sorted(name for name in kept - found if "[]" not in name or name.rpartition("[]")[0] in filled)


def _lists(name: str) -> list[str]:
    """The name up to each of its lists, as ``a[]`` and ``a[].b[]`` of ``a[].b[].c``."""
    parts = name.split("[]")
    return ["[]".join(parts[:at]) + "[]" for at in range(1, len(parts))]


@cache
def known() -> dict[str, list[str]]:
    """By schema."""
    found: dict[str, list[str]] = json.loads(FILE.read_text("utf-8"))["fields"]
    return found


def main() -> None:
    from hustlex.drivers.embedded import EmbeddedServer
    from tests.cli import seeded
    from tests.cli.inside import hustlex
    from tests.cli.test_command_line import ANSWERS, words_of

    found: dict[str, set[str]] = {}
    of: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder, EmbeddedServer() as server:
        os.chdir(folder)
        os.environ.update(seeded.environment(server.url))
        Path("limits.toml").write_text(seeded.RULES)
        Path("codes.py").write_text(seeded.CODES)
        for path in ANSWERS:
            with seeded.opened(server.url) as hx:
                seeded.emptied(server.url)
                seeded.seed(hx)
            words = words_of(path)
            told = hustlex(*words, *([] if "--json" in words else ["--json"]), typed=seeded.PHONE + "\n")
            for line in told.stdout.splitlines():
                answer = json.loads(line)
                found.setdefault(answer["schema"], set()).update(fields(answer))
                of[path] = answer["schema"]
    written = {"of": of, "fields": {name: sorted(names) for name, names in sorted(found.items())}}
    FILE.write_text(json.dumps(written, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
