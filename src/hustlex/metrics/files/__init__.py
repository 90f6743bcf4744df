"""What an operator copies: a Grafana dashboard, alert rules, an autoscaler. ``hustlex exporter --files`` writes it."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

NAMES = ("grafana.json", "alerts.yaml", "keda.yaml")


def text(name: str) -> str:
    """One of NAMES."""
    return (files(__name__) / name).read_text("utf-8")


def write(folder: Path) -> list[Path]:
    """All of them; their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in NAMES:
        (folder / name).write_text(text(name), "utf-8")
    return [folder / name for name in NAMES]
