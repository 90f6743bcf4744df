"""A missing tool is a skip on a desk and a failure where CI=true."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.needs import needs

pytest_plugins = ["pytester"]


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


SKIPS = """
    import pytest

    @pytest.mark.skipif(True, reason="no such device")
    def test_marked(): ...

    def test_imported():
        pytest.importorskip("no_such_module")

    def test_said():
        pytest.skip("needs a tool")

    def test_of_luck():
        pytest.skip("guessed right")

    @pytest.mark.xfail
    def test_known():
        assert False
"""


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """One with our rule."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    hooks = "pytest_make_collect_report, pytest_runtest_makereport"
    pytester.makeconftest(f"from tests.support.needs import {hooks}")
    return pytester


@pytest.mark.parametrize(
    ("ci", "outcomes"),
    [("true", {"skipped": 1, "failed": 2, "errors": 1, "xfailed": 1}), ("", {"skipped": 4, "xfailed": 1})],
)
def test_whatever_skips_fails_in_ci(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, ci: str, outcomes: dict[str, int]
) -> None:
    monkeypatch.setenv("CI", ci)
    project.makepyfile(SKIPS)
    project.runpytest_subprocess().assert_outcomes(**outcomes)


def test_a_module_that_cannot_be_had_fails_in_ci(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    project.makepyfile("import pytest; pytest.importorskip('no_such_module')")
    project.runpytest_subprocess().assert_outcomes(errors=1)
