"""What a test cannot do without: skipped with a reason on a desk, a failure where CI=true."""

from __future__ import annotations

import os
from typing import NoReturn, TypeVar

import pytest

T = TypeVar("T")


def needs(found: T | None, what: str) -> T:
    """``go = needs(shutil.which("go"), "the Go toolchain")``: the thing itself, or the end of this test."""
    if found is None:
        missing(what)
    return found


def missing(what: str) -> NoReturn:
    """Skip the test, or fail it where CI=true, because ``what`` is not on this machine."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"needs {what}, and CI must have it", pytrace=False)
    pytest.skip(f"needs {what}")
