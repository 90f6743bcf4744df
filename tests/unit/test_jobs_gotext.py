"""Go's text forms, as the wire format's appendix lists them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hustlex.jobs import gotext


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (timedelta(0), "0s"),
        (timedelta(microseconds=250), "250\u00b5s"),
        (timedelta(microseconds=1500), "1.5ms"),
        (timedelta(milliseconds=300), "300ms"),
        (timedelta(seconds=90.5), "1m30.5s"),
        (timedelta(minutes=3), "3m0s"),
        (timedelta(hours=1), "1h0m0s"),
        (timedelta(hours=36, seconds=5), "36h0m5s"),
        (timedelta(seconds=-90), "-1m30s"),
    ],
)
def test_a_duration_is_written_as_go_does(duration: timedelta, text: str) -> None:
    assert gotext.format_duration(duration) == text


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1h30m", 5400),
        ("1.5h", 5400),
        ("300ms", 0.3),
        ("-5s", -5),
        ("+2m", 120),
        ("0", 0),
        (".5s", 0.5),
        ("1\u03bcs", 1e-6),
    ],
)
def test_a_duration_is_read_as_go_does(text: str, seconds: float) -> None:
    assert gotext.parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "5", "s", "1d", "1h 5m", "--1s", "1.s.", "1e3s", "\u0661s"])
def test_what_go_would_not_read_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        gotext.parse_duration(text)


@given(st.timedeltas(min_value=timedelta(days=-9999), max_value=timedelta(days=9999)))
def test_every_duration_is_read_back(duration: timedelta) -> None:
    assert gotext.parse_duration(gotext.format_duration(duration)) == duration


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("email", '"email"'),
        ('a"b\\c', '"a\\"b\\\\c"'),
        ("\a\b\f\n\r\t\v", '"\\a\\b\\f\\n\\r\\t\\v"'),
        ("\x00\x7f\u00e9\u2028\U000e0001", '"\\x00\\x7f\u00e9\\u2028\\U000e0001"'),
    ],
)
def test_a_string_is_quoted_as_go_does(text: str, quoted: str) -> None:
    assert gotext.quote(text) == quoted
