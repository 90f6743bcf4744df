"""The pictures of docs/benchmarks.md, drawn from the tables of that page; ``--check`` fails on a stale one."""

from __future__ import annotations

import re
import sys
from html import escape
from pathlib import Path
from typing import NamedTuple

DOCS = Path(__file__).parents[1] / "docs"
RATE = re.compile(r"([\d,]+)/s")
WIDTH, LABELS, BAR = 760, 300, 12
OURS, PEERS, TEXT = "#0d9488", "#9aa3ad", "#71767d"
"""Colours that can be read on white and on black."""


class Row(NamedTuple):
    """title: what is measured. bars: who, and how much."""

    title: str
    bars: list[tuple[str, float, str]]


def table(page: str, head: str) -> list[list[str]]:
    """The cells of the table whose first line begins so."""
    lines = page[page.index(f"| {head}") :].split("\n\n", maxsplit=1)[0].splitlines()[2:]
    return [[cell.strip().replace("**", "") for cell in line.strip("|").split(" | ")] for line in lines]


def rates(page: str) -> list[Row]:
    """Each row with rates a second on both sides: ours, and each peer's."""
    rows = []
    for what, ours, peers in table(page, "one Python process"):
        mine = RATE.search(ours)
        theirs = [(peer, found) for peer in peers.split("; ") if (found := RATE.search(peer))]
        if mine and theirs:
            bars = [("hustlex", _number(mine[1]), mine[0])]
            bars += [(peer[: found.start()].strip(" ,"), _number(found[1]), found[0]) for peer, found in theirs]
            rows.append(Row(what.partition(" (")[0], bars))
    return rows


def costs(page: str) -> list[Row]:
    """What a route costs more; a row may name two."""
    bars = []
    for what, best, *_ in table(page, "the same FastAPI route with"):
        for who, figure in zip(what.partition(":")[0].split("; "), best.split("; "), strict=True):
            bars.append((who.replace("`", ""), _number(figure), f"{figure} us"))
    return [Row("", bars)]


def drawn(rows: list[Row], title: str, *, together: bool) -> str:
    """An SVG of bars. together: all to one scale; else each row to its own, because its ratio is what counts."""
    parts, y = [], 8
    most = max(value for row in rows for _, value, _ in row.bars)
    for row in rows:
        if row.title:
            y += 18
            parts.append(f'<text x="0" y="{y}" font-weight="600">{escape(row.title)}</text>')
            y += 6
        scale = most if together else max(value for _, value, _ in row.bars)
        for who, value, told in row.bars:
            length = max(2, round(value / scale * (WIDTH - LABELS - 90)))
            fill = OURS if _is_ours(who) else PEERS
            parts.append(f'<text x="{LABELS - 8}" y="{y + 10}" text-anchor="end">{escape(who)}</text>')
            parts.append(f'<rect x="{LABELS}" y="{y}" width="{length}" height="{BAR}" rx="2" fill="{fill}"/>')
            parts.append(f'<text x="{LABELS + length + 6}" y="{y + 10}">{escape(told)}</text>')
            y += BAR + 5
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y + 8}" role="img" aria-label="{title}">'
    return "\n".join([head, f'<g font-family="sans-serif" font-size="12" fill="{TEXT}">', *parts, "</g></svg>"]) + "\n"


def _is_ours(who: str) -> bool:
    return not re.search(r"slowapi|limiter|sdk|cashews|cache2|PyJWT|limits|redis-py|repid|asynq|huey|[EH]S256", who)


def _number(text: str) -> float:
    return float(text.replace(",", ""))


def pictures() -> dict[Path, str]:
    """Each picture's file and text."""
    page = (DOCS / "benchmarks.md").read_text("utf-8")
    return {
        DOCS / "pictures/rates.svg": drawn(rates(page), "Calls a second, beside the best peer", together=False),
        DOCS / "pictures/web.svg": drawn(costs(page), "Microseconds that a route costs more", together=True),
    }


def main(arguments: list[str]) -> int:
    stale = [path for path, text in pictures().items() if not path.exists() or path.read_text("utf-8") != text]
    for path in stale:
        if "--check" in arguments:
            print(f"{path.relative_to(DOCS.parent)} is not current: run `make docs`")
        else:
            path.write_text(pictures()[path], "utf-8")
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
