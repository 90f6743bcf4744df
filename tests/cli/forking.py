"""``python -m tests.cli.forking up ...`` is ``hustlex up ...``, whose programs are forked as it is itself."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from hustlex.cli.entry import main
from hustlex.drivers.launch import tied
from tests.support import forked

_LAUNCHER = len(tied([]))


def started(command: Sequence[str], **options: Any) -> forked.Popen:
    """Without the launcher before it, which sees that a program ends with ``up``: these are all stopped by it."""
    return forked.Popen([word for word in command[_LAUNCHER:] if word != "-P"], **options)


if __name__ == "__main__":
    forked.nest("fastapi", "redis.asyncio", "hustlex.web")
    with patch("asyncio.unix_events.subprocess", SimpleNamespace(**{**vars(subprocess), "Popen": started})):
        main()
