"""Where the command ``hustlex`` starts: it comes with the base install, what it is made of with extras."""

from __future__ import annotations

import sys

_EXTRAS = {"typer": "server", "rich": "server", "structlog": "server", "uvicorn": "web", "fastapi": "web"}


def main() -> None:
    """Run the command line; exit code 2 and one sentence when an extra is missing."""
    try:
        from hustlex.cli.main import app

        app()
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        print(f"hustlex: {error.name} is missing: pip install 'hustlex[{extra}]'", file=sys.stderr)
        sys.exit(2)
