"""A missing tool is a skip on a desk and a failure where CI=true."""

from __future__ import annotations

import pytest

from tests.support.needs import needs


def test_what_is_there_is_given_back() -> None:
    assert needs("/bin/tool", "a tool") == "/bin/tool"


def test_a_desk_skips_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="needs a tool"):
        needs(None, "a tool")


def test_ci_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="needs a tool"):
        needs(None, "a tool")
