"""A field of an answer has one name, whatever is in it."""

from __future__ import annotations

import json
from datetime import timedelta

import msgspec
import pytest

from hustlex.cli.output import fields_of, print_fields, print_json


class Inner(msgspec.Struct):
    took: timedelta | None
    why: str | None = None


class Answer(msgspec.Struct):
    rest: timedelta | None
    always: timedelta
    inner: list[Inner]


@pytest.mark.parametrize("span", [timedelta(seconds=2), None])
def test_a_duration_that_may_be_missing_has_its_unit_in_its_name(
    span: timedelta | None, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = Answer(span, timedelta(), [Inner(span)])
    print_json("answer/1", fields_of(answer))
    told = json.loads(capsys.readouterr().out)
    ms = span and 2_000
    assert (told["rest_ms"], told["always_ms"], told["inner"]) == (ms, 0, [{"took_ms": ms, "why": None}])
    assert "rest" not in told
    print_fields(fields_of(Answer(span, timedelta(), [])))
    assert capsys.readouterr().out.splitlines()[0].split() == ["rest", *(["2", "s"] if span else ["-"])]
