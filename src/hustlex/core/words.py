"""How times, shares and sizes are said: the same on pages and terminals."""

from __future__ import annotations

from datetime import timedelta

UNKNOWN = "-"
_UNITS = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))


def percent(part: float, whole: float) -> str:
    """One decimal; ``<0.1 %`` for the smallest share; unknown where there is no whole."""
    if not whole:
        return UNKNOWN
    share = 100 * part / whole
    return "<0.1 %" if 0 < share < 0.1 else f"{share:.1f} %"


def duration(value: timedelta | float | None) -> str:
    """Two units, as ``4 m 12 s``; below a second in ms."""
    if value is None:
        return UNKNOWN
    seconds = value.total_seconds() if isinstance(value, timedelta) else float(value)
    if seconds < 1:
        return f"{seconds * 1000:.{int(0 < seconds < 0.0095)}f} ms" if seconds > 0 else "0 s"
    if seconds < 10:
        return f"{seconds:.1f} s"
    left, parts = round(seconds), list[str]()
    for unit, length in _UNITS:
        if left >= length or parts:
            parts.append(f"{left // length} {unit}")
            left %= length
    return " ".join(part for part in parts[:2] if part[0] != "0") or "0 s"


def size(value: float | None) -> str:
    """Bytes in B, KiB, MiB or GiB."""
    if value is None:
        return UNKNOWN
    for unit in ("B", "KiB", "MiB"):
        if abs(value) < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} GiB"
