"""Where the program runs, asked without importing what reads the settings, unless there are any to read."""

from __future__ import annotations

import os
from pathlib import Path


def in_production() -> bool:
    """Whether HUSTLEX_ENV, or a ``.env`` file, says production. Raises ConfigurationError for what they may not say."""
    if not any(name.upper() == "HUSTLEX_ENV" for name in os.environ) and not Path(".env").exists():
        return False
    from hustlex.settings import load_settings

    return load_settings().env == "production"
