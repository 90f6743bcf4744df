"""The room without a server: names, settings, results, and what each operation would send."""

from __future__ import annotations

import pickle
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import hustlex.otp
from hustlex.core.keyring import Keyring
from hustlex.core.keys import slot
from hustlex.core.op import Op
from hustlex.errors import BadReply, ConfigurationError, Misuse
from hustlex.otp import (
    Cooldown,
    DailyCap,
    Delivery,
    DeliveryStatus,
    Gone,
    Granted,
    Issued,
    Limits,
    Locked,
    Malformed,
    Mismatch,
    OtpOptions,
    Outcome,
    Policy,
    Reason,
    Resent,
    SendsExhausted,
    SubjectLocked,
    Verified,
    Wrong,
    flows,
    ops,
)
from hustlex.otp.codes import Codes
from hustlex.otp.flows import IssueRequest, VerifyRequest
from hustlex.otp.names import Challenge, Grant, SubjectKeys, parse_challenge, parse_grant
from hustlex.otp.room import CodeAttempt, NewCode, services_of

CODES = Codes(Keyring("a test secret of thirty-two bytes or more"))
ROOM = services_of(Keyring("a test secret of thirty-two bytes or more"), "app:", OtpOptions())
PHONE = "+2348031234567"
REF = CODES.reference(PHONE)
CID = "A" * 22
LOGIN = Challenge(REF, "login", CID, CODES.kid)
MINUTE = timedelta(minutes=1)
SECRETS = [
    Issued("oc1.secret", "KTX", MINUTE, MINUTE, 2),
    Resent("oc1.secret", "KTX", MINUTE, MINUTE, 1, True),
    Verified("og1.secret", "ref", "login", False),
    Delivery(PHONE, "424242", "KTX", "login", MINUTE),
    Granted(PHONE, "ref", "login"),
]
PLAIN = [
    Cooldown(MINUTE),
    SendsExhausted(MINUTE),
    DailyCap(MINUTE),
    SubjectLocked(MINUTE),
    Wrong(3),
    Locked(),
    Gone(Reason.USED),
    Malformed(),
    Mismatch(),
    hustlex.otp.InvalidPhone(),
    hustlex.otp.DestinationBlocked(),
]


def sent(op: Op[Any]) -> str:
    """All that an operation puts on the wire."""
    return " ".join(map(str, (*op.keys, *op.args)))


def every_op() -> list[Op[Any]]:
    return [
        ops.issue(ROOM, NewCode(PHONE, "login"), bytes(range(44)), 0),
        ops.resend(ROOM, LOGIN, "", 10, 0),
        ops.verify(ROOM, CodeAttempt(LOGIN, "424242", "", "nonce"), 0),
        ops.open_challenge(ROOM, LOGIN, "job", 0),
        ops.consume_grant(ROOM, Grant(REF, "s" * 22), "login", "", 0),
        ops.cancel(ROOM, LOGIN, True),
    ]


@pytest.mark.parametrize("result", [*SECRETS, *PLAIN], ids=lambda result: type(result).__name__)
def test_no_result_has_a_truth_value(result: Outcome) -> None:
    with pytest.raises(TypeError, match=type(result).__name__):
        bool(result)


@pytest.mark.parametrize("result", SECRETS, ids=lambda result: type(result).__name__)
def test_secrets_stay_out_of_sight(result: Outcome) -> None:
    shown = f"{result} {result!r} {result.__rich_repr__()}"
    assert not any(secret in shown for secret in ("secret", "424242", "803"))
    assert "KTX" in shown or "ref" in shown
    with pytest.raises(TypeError, match="secret"):
        pickle.dumps(result)


def test_every_public_name_exists() -> None:
    for name in hustlex.otp.__all__:
        assert hasattr(hustlex.otp, name), name


@given(st.text(max_size=90))
def test_only_our_own_text_is_parsed(text: str) -> None:
    assert parse_challenge(text) is None
    assert parse_grant(text) is None


def test_challenges_and_grants_come_back() -> None:
    assert parse_challenge(LOGIN.text()) == LOGIN
    grant = Grant(REF, "s" * 22)
    assert parse_grant(grant.text()) == grant
    for changed in (
        LOGIN.text() + "\n",
        " " + LOGIN.text(),
        LOGIN.text().upper(),
        LOGIN.text().replace("login", "é"),
        LOGIN.text()[:-1],
        LOGIN.text().replace("oc1", "oc2"),
        grant.text(),
    ):
        assert parse_challenge(changed) is None
    assert parse_grant(LOGIN.text()) is None


def test_key_names_are_those_of_the_specification() -> None:
    keys = SubjectKeys("app:", "r")
    assert keys.record("login", "c") == "app:otp:{r}:login:c"
    assert keys.subject_record("login") == "app:otp:{r}:login"
    assert keys.subject_record("default") == "app:otp:{r}"
    assert keys.active("login", "anon") == "app:otp:{r}:act:login"
    assert keys.active("login", "known") == "app:otp:{r}:act:login:known"
    assert (keys.sends("anon"), keys.cool("known")) == ("app:otp:{r}:sends", "app:otp:{r}:cool:known")
    assert (keys.fail("anon"), keys.lock("anon")) == ("app:otp:{r}:fail:anon", "app:otp:{r}:lock:anon")
    assert keys.grant("secret").startswith("app:otp:{r}:grant:")
    assert "secret" not in keys.grant("secret")


@pytest.mark.parametrize("op", every_op(), ids=lambda op: op.name)
def test_one_operation_one_slot_and_nothing_secret(op: Op[Any]) -> None:
    assert len({slot(key) for key in op.keys}) == 1
    codes = {CODES.code(bytes(range(16, 32)), generation, 6) for generation in (1, 2, 3)} | {"424242"}
    assert not any(secret in sent(op) for secret in ("8031234567", "s" * 22, *codes))


@pytest.mark.parametrize("op", every_op(), ids=lambda op: op.name)
def test_a_status_outside_the_contract_is_a_fault(op: Op[Any]) -> None:
    if op.name != "otp.cancel":
        with pytest.raises(BadReply):
            op.decode([99])


def test_under_subject_binding_left_is_not_told() -> None:
    bound = Challenge(REF, "default", "", CODES.kid)
    assert ops.verify(ROOM, CodeAttempt(bound, "424242"), 0).decode([4, 3, 0, b"NG"]).result == Wrong(None)
    assert ops.verify(ROOM, CodeAttempt(LOGIN, "424242"), 0).decode([4, 3, 1, b"NG"]).result == Wrong(3, True)


@pytest.mark.parametrize(
    "flow",
    [
        flows.verify(ROOM, "nonsense", VerifyRequest("424242"), 0),
        flows.verify(ROOM, LOGIN.text().replace("login", "unheard_of"), VerifyRequest("424242"), 0),
        flows.verify(ROOM, LOGIN.text(), VerifyRequest("42424"), 0),
        flows.verify_phone(ROOM, "nobody", "default", "anon", VerifyRequest("424242"), 0),
        flows.resend(ROOM, "nonsense", None, False, 0),
        flows.open_challenge(ROOM, "nonsense", "", 0),
        flows.cancel(ROOM, "nonsense", False, 0),
        flows.delivery_report(ROOM, "nonsense", DeliveryStatus.FAILED, "sms", 0),
        flows.consume_grant(ROOM, "nonsense", "login", None, 0),
        flows.issue(ROOM, IssueRequest("nobody", "login"), bytes(44), 0),
        flows.issue(ROOM, IssueRequest("+1 900 555 0123", "login"), bytes(44), 0),
    ],
    ids=lambda flow: flow.__name__,
)
def test_nonsense_costs_no_round_trip(flow: Any) -> None:
    with pytest.raises(StopIteration) as ended:
        next(flow)
    value = ended.value.value
    assert value is False or isinstance(
        value, Gone | Malformed | hustlex.otp.InvalidPhone | hustlex.otp.DestinationBlocked
    )


@pytest.mark.parametrize(
    "flow",
    [
        flows.issue(ROOM, IssueRequest(PHONE, "unheard_of"), bytes(44), 0),
        flows.issue(ROOM, IssueRequest(PHONE, "transaction"), bytes(44), 0),
        flows.issue(ROOM, IssueRequest(PHONE, "login", lane="vip"), bytes(44), 0),  # type: ignore[arg-type]
        flows.issue(ROOM, IssueRequest(PHONE, "login", ip="not an address"), bytes(44), 0),
        flows.issue(ROOM, IssueRequest(PHONE, "login", about="ADA\n@evil.example #123456"), bytes(44), 0),
        flows.issue(ROOM, IssueRequest(PHONE, "login", about="A" * 101), bytes(44), 0),
        flows.verify_phone(ROOM, PHONE, "login", "anon", VerifyRequest("424242"), 0),
        flows.consume_grant(ROOM, "nonsense", "unheard_of", None, 0),
        flows.verify(ROOM, "nonsense", VerifyRequest("424242", {}), 0),
        flows.unlock(ROOM, "nobody", "anon"),
    ],
    ids=lambda flow: flow.__name__,
)
def test_the_programmers_mistakes_raise(flow: Any) -> None:
    with pytest.raises(Misuse) as caught:
        next(flow)
    assert "803" not in str(caught.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"digits": 5},
        {"digits": 11},
        {"attempts": 0},
        {"attempts": 11},
        {"sends": 0},
        {"active": 0},
        {"cooldowns": ()},
        {"ttl": timedelta(0)},
        {"ttl": timedelta(minutes=10, seconds=1)},
        {"cooldowns": (timedelta(0),)},
    ],
)
def test_settings_that_cannot_be_safe_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises((ConfigurationError, Misuse)):
        Policy(**wrong)


@pytest.mark.parametrize(
    "wrong", [{"sends": 0}, {"wrong": 0}, {"wrong": 101}, {"locks": ()}, {"locks": (timedelta(0),)}]
)
def test_limits_that_cannot_hold_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises((ConfigurationError, Misuse)):
        Limits(**wrong)


@pytest.mark.parametrize(
    "name", ["act", "sends", "cool", "fail", "lock", "grant", "", "a:b", "A", "é", "1a", "a" * 33, "a\n"]
)
def test_a_purpose_cannot_take_another_keys_name(name: str) -> None:
    with pytest.raises(ConfigurationError):
        OtpOptions(policies={name: Policy()})
