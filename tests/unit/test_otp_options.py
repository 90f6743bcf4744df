"""Settings that cannot be safe are refused, and what is told of a call never tells a secret."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

import pytest

from hustlex.core.addresses import network
from hustlex.errors import ConfigurationError, Misuse
from hustlex.otp import (
    Breaker,
    BreakerOpen,
    BudgetExhausted,
    Cap,
    CapReached,
    ChallengeRequired,
    Country,
    Gone,
    Guesses,
    Issued,
    Limits,
    Numbers,
    Obstacle,
    OtpEvent,
    OtpMetrics,
    OtpOptions,
    Reason,
    Scope,
    Suppressed,
    Wrong,
    reservations,
)
from hustlex.otp.codes import Hmac
from hustlex.otp.phone import normalise
from hustlex.otp.reservations import CapScope, CapUnit
from hustlex.otp.telemetry import outcome_of, report

MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (Cap, {"most": 0, "per": MINUTE}),
        (Cap, {"most": 1, "per": timedelta(0)}),
        (Country, {"price": -1}),
        (Country, {"budget": 100}),
        (Breaker, {"sends": 0}),
        (Breaker, {"percent": 101}),
        (Breaker, {"wins": 6}),
        (Breaker, {"pause": timedelta(0)}),
        (Breaker, {"settle": -MINUTE}),
        (Guesses, {"checks": 0}),
        (Guesses, {"digits": 5}),
        (Guesses, {"per": timedelta(0)}),
        (Limits, {"devices": 0}),
        (Limits, {"device_ttl": timedelta(0)}),
        (OtpOptions, {"countries": {"GH": Country()}, "numbers": Numbers(countries=frozenset({"NG"}))}),
    ],
)
def test_settings_that_cannot_hold_are_refused(kind: Any, wrong: dict[str, Any]) -> None:
    with pytest.raises((ConfigurationError, Misuse)):
        kind(**wrong)


@pytest.mark.parametrize(
    ("ip", "whole"),
    [
        ("203.0.113.7", "203.0.113.7/32"),
        ("::ffff:203.0.113.7", "203.0.113.7/32"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_an_address_stands_for_a_network(ip: str, whole: str) -> None:
    assert str(network(ip)) == whole


@pytest.mark.parametrize("text", ["", "local", "203.0.113", "203.0.113.7:80:81", "1" * 5000])
def test_what_is_no_address_is_a_mistake(text: str) -> None:
    with pytest.raises(ValueError, match="address"):
        network(text)


def test_the_kept_blocks_are_an_hmac() -> None:
    import hashlib
    import hmac

    for key in (b"k" * 32, b"k" * 64, b""):
        for message in (b"", b"m", b"m" * 500):
            assert Hmac(key).digest(message) == hmac.digest(key, message, hashlib.sha256)
    assert "k" not in repr(Hmac(b"k" * 32))


def test_a_possible_number_is_of_its_calling_codes_country() -> None:
    lenient = Numbers(accept_possible=True)
    found: Any = normalise("+2340803123456", lenient)
    assert (found.number, found.country, found.known) == ("+2340803123456", "NG", False)
    assert not hasattr(normalise("+2340803123456", Numbers()), "number")
    only = Numbers(accept_possible=True, countries=frozenset({"NG"}))
    assert not hasattr(normalise("+44 0803 123456", only), "number")
    known: Any = normalise("08031234567", lenient)
    assert known.known


def test_tickets_come_back() -> None:
    units = [
        CapUnit(CapScope(Scope.COUNTRY, "cc:NG", usual=False), 1_767_225_600_000),
        CapUnit(CapScope(Scope.BLOCK, "blk:abc", "member12"), 1_767_225_600_001, 1_767_225_500_000, True),
        CapUnit(CapScope(Scope.PREFIX, "pfx:2348031"), 1_767_225_600_002),
        CapUnit(CapScope(Scope.IP, "ip:abc"), 1_767_225_600_003),
    ]
    text = reservations.write(units)
    assert reservations.read(text) == units
    assert reservations.read(f"{text}|{text}") == units * 2
    assert reservations.read(f"{text}|!{text}") == units
    assert reservations.read("") == reservations.read("|") == []
    assert [place.tag for place in reservations.places_of(f"!{text}")] == ["cc:NG", "blk:abc", "pfx:2348031"]
    assert reservations.places_of("") == []


def test_outcomes_have_short_names() -> None:
    issued = ("oc1.x", "KTX", MINUTE, MINUTE, 2)
    names = {
        "sent": Issued(*issued),
        "suppressed": Suppressed(*issued),
        "ip_cap": CapReached(Scope.IP, MINUTE),
        "breaker_open": BreakerOpen(Scope.IP, MINUTE),
        "budget_exhausted": BudgetExhausted(MINUTE),
        "challenge_required": ChallengeRequired(Obstacle.SIM_SWAP),
        "used": Gone(Reason.USED),
        "wrong": Wrong(3),
        "context_mismatch": Wrong(3, True),
    }
    assert {name: outcome_of(result) for name, result in names.items()} == {name: name for name in names}


def test_events_become_counts() -> None:
    metrics = OtpMetrics()
    common: dict[str, Any] = {"purpose": "login", "lane": "anon", "country": "NG"}
    for _ in range(2):
        metrics(OtpEvent(event="issue", outcome="sent", **common))
    metrics(OtpEvent(event="issue", outcome="ip_cap", scope="ip", unusual=True, **common))
    metrics(OtpEvent(event="verify", outcome="verified", age=12.4, **common))
    metrics(OtpEvent(event="open", outcome="delivery", **common))
    metrics(OtpEvent(event="open", outcome="expired", **common))
    metrics(OtpEvent(event="report", outcome="sent", channel="sms", **common))
    metrics(OtpEvent(event="guesses", outcome="guessing", country="NG"))
    for percent in (50, 80):
        metrics(OtpEvent(event="budget", outcome="spent", country="NG", percent=percent))
    seen = {(sample.name, *sample.labels.values()): sample.value for sample in metrics.samples()}
    assert seen == {
        ("otp_issue_total", "login", "sent", "NG"): 2,
        ("otp_issue_total", "login", "ip_cap", "NG"): 1,
        ("otp_refused_total", "ip_cap", "ip"): 1,
        ("otp_unusual_number_total", "NG"): 1,
        ("otp_verify_total", "login", "verified", "anon"): 1,
        ("otp_time_to_verify_seconds_sum", "NG"): 12,
        ("otp_time_to_verify_seconds_count", "NG"): 1,
        ("otp_send_dropped_total", "expired"): 1,
        ("otp_delivery_total", "sent", "sms"): 1,
        ("otp_guessing_total", "NG"): 1,
        ("otp_budget_percent", "NG"): 80,
    }


def test_events_have_the_level_that_they_deserve(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for outcome in ("verified", "wrong", "locked", "used", "malformed", "subject_locked", "context_mismatch"):
        report(None, OtpEvent(event="verify", outcome=outcome))
    levels = {record.otp["outcome"]: record.levelname for record in caplog.records}  # type: ignore[attr-defined]
    assert levels == {
        "verified": "INFO",
        "wrong": "INFO",
        "locked": "WARNING",
        "used": "WARNING",
        "malformed": "DEBUG",
        "subject_locked": "WARNING",
        "context_mismatch": "WARNING",
    }
