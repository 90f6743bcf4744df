"""Where the command ``hustlex`` starts: it comes with the base install, what it is made of with extras."""

from __future__ import annotations

import sys

from hustlex.core.extras import require
from hustlex.errors import ConfigurationError


def main() -> None:
    """Run the command line; exit code 2 and one sentence when an extra is missing."""
    try:
        require("the command hustlex", "server", "typer", "rich")
    except ConfigurationError as error:
        print(f"hustlex: {error}", file=sys.stderr)
        sys.exit(2)
    from hustlex.cli.main import app

    app()
