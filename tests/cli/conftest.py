"""The command's parser, made once for all tests: to make it from the functions' annotations takes 30 ms."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from unittest.mock import patch

import pytest
import typer.main


@pytest.fixture(scope="session", autouse=True)
def _one_parser() -> Iterator[None]:
    made = cache(typer.main.get_command)
    with patch("typer.main.get_command", made), patch("typer.testing._get_command", made):
        yield
