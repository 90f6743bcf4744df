"""How numbers, sizes, times and states are written: the same on every page, before and after a live update."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime

from markupsafe import Markup

from hustlex.core.words import UNKNOWN, duration

BY_CHANCE = re.compile(r"[0-9a-fA-F]{8}[0-9a-fA-F-]{8,}")
_LONG_ID = 24
_GLYPHS = {
    "active": ("●", "work"),
    "running": ("●", "work"),
    "searching": ("●", "work"),
    "undoing": ("●", "work"),
    "ready": ("○", "calm"),
    "done": ("✓", "calm"),
    "undone": ("✓", "calm"),
    "stopped": ("■", "warn"),
    "pending": ("○", "calm"),
    "scheduled": ("◷", "calm"),
    "completed": ("✓", "calm"),
    "aggregating": ("◫", "calm"),
    "idle": ("○", "calm"),
    "ok": ("✓", "calm"),
    "signed in": ("✓", "calm"),
    "info": ("i", "calm"),
    "retry": ("▲", "warn"),
    "failed": ("▲", "warn"),
    "paused": ("‖", "warn"),
    "full": ("▲", "warn"),
    "released": ("▲", "warn"),
    "slowed": ("▲", "warn"),
    "warn": ("▲", "warn"),
    "unknown": ("?", "warn"),
    "intent": ("?", "warn"),
    "refused": ("▲", "warn"),
    "archived": ("■", "bad"),
    "unserved": ("■", "bad"),
    "orphaned": ("■", "bad"),
    "fail": ("■", "bad"),
    "lost": ("■", "bad"),
    "never": ("■", "bad"),
    "waiting": ("◌", "calm"),
    "ended": ("□", "calm"),
    "muted": ("◌", "calm"),
}
_STEPS = ((1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k"))


def badge(state: str) -> Markup:
    """A state as a glyph, a word and a colour: never the colour alone."""
    glyph, meaning = _GLYPHS.get(state, ("○", "calm"))
    return Markup('<span class="badge {}"><span aria-hidden="true">{}</span> {}</span>').format(meaning, glyph, state)


def glyph(state: str) -> str:
    """The sign of a state alone, beside its word."""
    return _GLYPHS.get(state, ("○", "calm"))[0]


def meaning(state: str) -> str:
    """The word of its colour: work, calm, warn or bad."""
    return _GLYPHS.get(state, ("○", "calm"))[1]


def number(value: float | None) -> Markup | str:
    """1,234; from 10,000 on 12.3k, with the exact one in the title."""
    if value is None:
        return UNKNOWN
    if abs(value) < 10_000:
        return f"{value:,.0f}"
    size, letter = next(step for step in _STEPS if abs(value) >= step[0])
    return Markup('<span title="{:,.0f}">{}{}</span>').format(value, f"{value / size:.1f}", letter)


def short(name: str) -> str:
    """As much of an id as tells it apart: of one by chance its beginning, of one that was chosen all but its end."""
    if BY_CHANCE.fullmatch(name):
        return name[:8]
    return name if len(name) <= _LONG_ID else f"{name[:_LONG_ID]}…"


def moment(value: datetime | None, now: float | None = None) -> Markup | str:
    """How long ago, or until when, with the moment itself (UTC) in the title and for machines."""
    if value is None:
        return UNKNOWN
    away = value.timestamp() - (time.time() if now is None else now)
    words = f"in {duration(away)}" if away > 0 else f"{duration(-away)} ago" if away < -1 else "now"
    exact = value.astimezone(UTC)
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        exact.isoformat(timespec="milliseconds"), exact.strftime("%Y-%m-%d %H:%M:%S UTC"), words
    )


def visible(text: str) -> str:
    """Text whose invisible and direction-changing characters are written out: they could make it read as another."""
    return "".join(letter if letter.isprintable() or letter in "\n\t" else f"‹{ord(letter):04x}›" for letter in text)
