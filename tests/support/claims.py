"""What pages say, sentence by sentence, and the check that holds each: neither can change without the other."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
Check = Callable[[Any], Awaitable[None]]


def sayings(page: str) -> list[str]:
    """Our side of a page of *Coming from*: the last cell of each row, list items and paragraphs as one line each."""
    text = (ROOT / "docs/migrating" / f"{page}.md").read_text("utf-8")
    text = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)  # test_moving runs these
    said: list[str] = []
    for block in re.split(r"\n\n+|\n(?=- )", text.strip()):
        if block.startswith("|"):
            said += [row.strip("| ").split(" | ")[-1].strip() for row in block.splitlines()[2:]]
        elif not block.startswith("#") and not block.endswith(":"):
            said.append(" ".join(block.removeprefix("- ").split()))
    return said


class Claims:
    """checks: by sentence, all that hold it."""

    def __init__(self) -> None:
        self.checks: dict[str, list[Check]] = {}

    def hold(self, *sentences: str) -> Callable[[Check], Check]:
        """The function fails when one of these sentences is not true."""

        def held(check: Check) -> Check:
            for sentence in sentences:
                self.checks.setdefault(sentence, []).append(check)
            return check

        return held

    @property
    def each(self) -> list[Check]:
        """Every check once, in the order of the file."""
        return list(dict.fromkeys(check for checks in self.checks.values() for check in checks))


def stands(test: str) -> bool:
    """Whether ``tests/a.py::test_b`` is there."""
    path, name = test.split("::")
    return re.search(rf"def {name}\(", (ROOT / path).read_text("utf-8")) is not None


def unheld(pages: Iterable[str], claims: Claims, elsewhere: dict[str, str]) -> tuple[set[str], set[str]]:
    """Sentences without a check, and checks of sentences that no page says."""
    said = {sentence for page in pages for sentence in sayings(page)}
    held = {*claims.checks, *elsewhere}
    return said - held, held - said
