"""Where the program runs, asked without importing what reads the settings, unless there are any to read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal


def in_production() -> bool:
    """Whether HUSTLEX_ENV, or a ``.env`` file, says production. Raises ConfigurationError for what they may not say."""
    if not _may_say("HUSTLEX_ENV"):
        return False
    from hustlex.settings import load_settings

    return load_settings().env == "production"


def freezes_gc() -> bool:
    """Whether ``hustlex api`` freezes what its start has made, see ``cli.collector``. Raises ConfigurationError."""
    if not _may_say("HUSTLEX_FREEZE_GC"):
        return True
    from hustlex.settings import load_settings

    return load_settings().freeze_gc


def metrics_dir() -> str | None:
    """Where the processes of a service share their metrics; None: they do not. Raises ConfigurationError."""
    if not _may_say("HUSTLEX_METRICS_DIR"):
        return None
    from hustlex.settings import load_settings

    return load_settings().metrics_dir


def trace_options() -> tuple[float, Literal["soon", "always", "never"]]:
    """The share of calls that are traced, and which attempts stand in their producer's trace. Raises
    ConfigurationError."""
    if not (_may_say("HUSTLEX_TRACE_CALLS") or _may_say("HUSTLEX_TRACE_PARENT")):
        return 0.0, "soon"
    from hustlex.settings import load_settings

    settings = load_settings()
    return settings.trace_calls, settings.trace_parent


def _may_say(variable: str) -> bool:
    return any(name.upper() == variable for name in os.environ) or Path(".env").exists()
