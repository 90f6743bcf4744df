"""axe-core, which looks for what keeps people from a page: a script that a wheel carries and a browser runs."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path


def source() -> str | None:
    """The script; None where the wheel is not installed."""
    spec = find_spec("axe_core_python")
    places = spec.submodule_search_locations if spec else None
    return (Path(next(iter(places))) / "axe.min.js").read_text("utf-8") if places else None


def serious(*left_out: str) -> str:
    """An expression: what keeps somebody from using the page, a line each. left_out: rules."""
    options = {
        "resultTypes": ["violations"],
        "preload": False,
        "rules": {rule: {"enabled": False} for rule in left_out},
    }
    return f"""axe.run(document, {json.dumps(options)}).then((told) => told.violations
  .filter(({{ impact }}) => impact === "serious" || impact === "critical")
  .map(({{ id, nodes }}) => `${{id}}: ${{nodes.slice(0, 3).map(({{ html }}) => html.slice(0, 120)).join(" | ")}}`))"""
