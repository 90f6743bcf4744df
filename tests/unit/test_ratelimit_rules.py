"""Rules as text, rulebooks, and what the sheets say."""

from __future__ import annotations

import contextlib
import json
import os
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hustlex.errors import ConfigurationError, Misuse
from hustlex.ratelimit import Penalty, Policy, Rulebook, bound, parse_rule, sheet

MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("text", "policy", "who", "endpoint"),
    [
        ("10/minute", Policy("10-per-min-user", 10, MINUTE), "user", "all"),
        ("10/minute per user on POST /transfers", Policy("10-per-min-user", 10, MINUTE), "user", "POST /transfers"),
        ("100/15min per ip using log", Policy("100-per-15min-ip", 100, 15 * MINUTE, "log"), "ip", "all"),
        ("5/s global on /a/{id}/{rest:path}", Policy("5-per-s-global", 5, SECOND), "global", "/a/{id}/{rest:path}"),
        ("9/h per key using gcra burst 3", Policy("9-per-h-key", 9, 60 * MINUTE, "gcra", burst=3), "key", "all"),
        ("3 at once on GET /export", Policy("3-at-once-user", 3, 30 * SECOND, "leases"), "user", "GET /export"),
        ("3 at once for 5min per ip", Policy("3-at-once-ip", 3, 5 * MINUTE, "leases"), "ip", "all"),
        (
            "8/2days cost 2 buckets 60 failing closed named big shadow overridable counting refusals",
            Policy(
                "big", 8, timedelta(days=2), cost=2, buckets=60, on_error="closed", shadow=True, overridable=True,
                count_denied=True,
            ),
            "user",
            "all",
        ),
    ],
)  # fmt: skip
def test_a_line_is_a_rule(text: str, policy: Policy, who: str, endpoint: str) -> None:
    rule = parse_rule(text)
    assert (rule.policy, rule.who, rule.endpoint) == (policy, who, endpoint)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "expected a limit like 10/minute"),
        ("ten/minute", "rule 'ten/minute', at 'ten/minute': expected a limit"),
        ("10/fortnight", "expected a limit"),
        ("10/minute per", "rule '10/minute per', at its end: expected user, ip or key"),
        ("10/minute per cookie", "rule '10/minute per cookie', at 'cookie': expected user, ip or key"),
        ("10/minute on POST", "expected a path"),
        ("10/minute on FETCH /x", "'FETCH': expected a path like /gigs/{id}, with a method before it"),
        ("10/minute on transfers", "expected a path like"),
        ("10/minute on /x{", "expected a path like"),
        ("10/minute using magic", "'magic': expected strict, log, counter, fixed or gcra"),
        ("10/minute using log using log", "a second 'using'"),
        ("10/minute burst many", "expected a number"),
        ("10/minute burst 3", "burst is for gcra only"),
        ("10/minute then some", "expected on, using, burst"),
        ("0/minute", "at least 1"),
        ("10/999999999999999d", "too long"),
        ("3 at twice", "expected once"),
        ("3 at once for ever", "is not a duration"),
        ("3 at once using log", "leave 'using' out"),
        ("99999/minute using log", "a log holds at most"),
        pytest.param("1/minute " * 100_000, "rule has 900000 characters (pass at most 4096)", id="a megabyte"),
    ],
)
def test_a_wrong_line_says_where_and_what_could_stand_there(text: str, says: str) -> None:
    with pytest.raises(Misuse) as refused:
        parse_rule(text)
    assert says in str(refused.value)


words = st.sampled_from(
    ["10/minute", "per", "user", "on", "POST", "/x/{id}", "using", "log", "burst", "5", "at", "once"]
)


@given(st.one_of(st.text(max_size=60), st.lists(words, max_size=8).map(" ".join)))
def test_any_text_is_a_rule_or_refused(text: str) -> None:
    with contextlib.suppress(Misuse):
        assert parse_rule(text).policy.limit >= 1


def test_a_path_covers_what_it_says() -> None:
    rule = parse_rule("1/s on GET /a.b/{id}/x")
    assert rule.fits("GET", "/a.b/1/x")
    for method, path in (("POST", "/a.b/1/x"), ("GET", "/axb/1/x"), ("GET", "/a.b/1/2/x"), ("GET", "/a.b//x")):
        assert not rule.fits(method, path)
    assert parse_rule("1/s on /files/{name:path}").fits("PUT", "/files/a/b/c")
    assert parse_rule("1/s").fits("GET", "/anything")


# -- rulebooks


TOML = """
transfers = "5/minute per user on POST /wallet/transfers using log"

[search]
rule = "60/minute per ip on GET /search"
shadow = true
reserve = { critical = 0.2 }
penalty = { strikes = 3, per = "10min", ban = "1h" }
"""


def test_a_file_of_rules(tmp_path: Path) -> None:
    path = tmp_path / "limits.toml"
    path.write_text(TOML)
    book = Rulebook(path)
    transfers, search = book.rules
    assert transfers.policy == Policy("transfers", 5, MINUTE, "log")
    assert search.policy == Policy(
        "search",
        60,
        MINUTE,
        shadow=True,
        reserve={"critical": 0.2},
        penalty=Penalty(3, 10 * MINUTE, 60 * MINUTE),
    )
    assert book.fitting("GET", "/search") == (search,)
    (tmp_path / "limits.json").write_text(json.dumps({"a": "1/s", "b": {"rule": "2/s", "on_error": "closed"}}))
    assert [rule.policy.limit for rule in Rulebook(tmp_path / "limits.json").rules] == [1, 2]


def test_a_changed_file_is_read_again_and_a_broken_one_is_not_taken(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "limits.toml"
    path.write_text('a = "1/s"\nb = "2/s"\n')
    book = Rulebook(path)
    assert book.reload_if_changed() is None
    path.write_text('a = "3/s"\nb = "2/s"\nc = "1/s"\n')
    os.utime(path, ns=(1, 1))
    reloaded = book.reload_if_changed()
    assert reloaded is not None
    assert reloaded.changed == ("a", "c")
    before = book.rules
    for broken in (
        'a = "3/fortnight"',
        "a = ",
        'a = "1/s"\n[b]\nrule = "1/s"\nlimit = 3',
        "[a]\nshadow = true",
        "a = 3",
    ):
        path.write_text(broken)
        answer = book.reload()
        assert answer.error
        assert not answer.changed
        assert book.rules is before
    path.unlink()
    gone = book.reload_if_changed()
    assert gone is not None
    assert "cannot be read" in gone.error
    assert book.rules is before
    assert caplog.text.count("the rules stay as they were") == 6


def test_a_dictionary_of_rules_may_be_replaced() -> None:
    book = Rulebook({"a": "1/s"})
    assert book.reload({"a": "2/s"}).changed == ("a",)
    assert book.reload().error
    with pytest.raises(ConfigurationError, match="rule 'a'"):
        Rulebook({"a": "nonsense"})


# -- sheets


def test_the_sheet_flags_what_a_reader_should_question() -> None:
    with pytest.warns(UserWarning, match="up to 199"):
        gcra = sheet(Policy("g", 100, MINUTE, "gcra"))
    assert (gcra.worst, gcra.at_once) == (199, 100)
    assert any("burst = limit" in flag for flag in gcra.flags)
    half = sheet(Policy("g", 100, MINUTE, "gcra", burst=50))
    assert (half.worst, half.at_once) == (149, 50)
    shadow = sheet(Policy("s", 100, MINUTE, shadow=True))
    assert (shadow.worst, shadow.at_once, shadow.exceedable) == (None, None, True)
    assert (shadow.promise, shadow.flags) == ("refuses nobody", ())
    assert any("no limit while" in flag for flag in sheet(Policy("o", 1, MINUTE, on_error="open")).flags)
    assert sheet(Policy("c", 1, MINUTE, on_error="closed")).flags == ()
    assert sheet(Policy("p", 9, MINUTE, prefetch=timedelta(milliseconds=250))).worst == 18


@given(
    st.sampled_from(["strict", "log", "counter", "fixed"]),
    st.integers(1, 500),
    st.integers(1, 10_000),
    st.integers(1, 10_000),
)
def test_a_longer_interval_never_promises_less(algorithm: str, limit: int, one: int, more: int) -> None:
    policy = Policy("p", limit, MINUTE, algorithm)  # type: ignore[arg-type]
    shorter, longer = (bound(policy, timedelta(milliseconds=ms * 20)) for ms in (one, one + more))
    assert shorter is not None
    assert longer is not None
    assert shorter <= longer
