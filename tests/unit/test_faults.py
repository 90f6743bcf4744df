"""Errors become text whatever they are."""

from __future__ import annotations

import io
import logging

import pytest

from hustlex.core.faults import LONGEST_TEXT, LONGEST_TRACE, as_exception, describe, loggable, trace, words
from hustlex.jobs.define.signals import SkipRetry, is_or_follows
from tests.worker.nasty import ALL, ENDS, throw


def caught(kind: str) -> BaseException:
    try:
        throw(kind)
    except BaseException as fault:
        return fault
    raise AssertionError


@pytest.mark.parametrize("kind", ALL)
def test_everything_can_be_described_and_logged(kind: str) -> None:
    fault = caught(kind)
    for text, longest in ((describe(fault), LONGEST_TEXT), (words(fault), LONGEST_TEXT), (trace(fault), LONGEST_TRACE)):
        assert len(text) <= longest
        assert "\0" not in text and "\x1b" not in text
        text.encode()
    assert describe(fault)
    assert "throw" in trace(fault)
    assert not is_or_follows(fault, SkipRetry)
    stream = io.BytesIO()
    log = logging.getLogger(f"alone.{kind}")
    log.propagate = False
    handler = logging.StreamHandler(io.TextIOWrapper(stream, "utf-8", write_through=True))
    log.addHandler(handler)
    handler.handleError = lambda _: pytest.fail("the log could not take it")  # type: ignore[method-assign]
    log.error("failed", exc_info=loggable(as_exception(fault)))
    assert b"in throw" in stream.getvalue()


@pytest.mark.parametrize("kind", ENDS)
def test_what_escapes_is_an_exception_that_names_it(kind: str) -> None:
    fault = caught(kind)
    failure = as_exception(fault)
    assert isinstance(failure, Exception) and not isinstance(failure, StopIteration)
    assert failure is fault or (describe(failure).startswith("RuntimeError") and failure.__cause__ is fault)


def test_usual_errors_stay_as_they_are() -> None:
    fault = ValueError("no such user")
    assert as_exception(fault) is fault and loggable(fault) is fault
    assert describe(fault) == "ValueError: no such user"
    assert describe(ValueError()) == "ValueError"
    assert describe(ValueError("two\nlines\tand ünïcode")) == "ValueError: two\nlines\tand ünïcode"
