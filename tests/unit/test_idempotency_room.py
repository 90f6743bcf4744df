"""What the idempotency room decides without a server: one spelling of JSON, signatures, contracts of replies."""

from __future__ import annotations

import hashlib
import hmac
import json
import random
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hustlex.core.keyring import Keyring
from hustlex.core.keys import slot
from hustlex.errors import BadReply, ConfigurationError, Misuse
from hustlex.idempotency import (
    InFlight,
    Mismatch,
    Orphaned,
    Provider,
    Replay,
    Response,
    Scope,
    Started,
    hmac_signature,
    ops,
)
from hustlex.idempotency.canonical import canonical
from hustlex.idempotency.multipart import parts_of
from hustlex.idempotency.names import event_record, record_of
from hustlex.idempotency.seals import Seals
from tests.support.depth import examples
from tests.support.ids import texts

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


def shuffled(value: Any) -> Any:
    """The same JSON with every object's names in the other order."""
    if isinstance(value, dict):
        return {name: shuffled(value[name]) for name in reversed(list(value))}
    return [shuffled(inner) for inner in value] if isinstance(value, list) else value


@given(JSON, st.booleans(), st.integers(0, 3))
def test_one_spelling_whatever_the_order_blanks_and_escapes(value: Any, ascii_only: bool, indent: int) -> None:
    other = json.dumps(shuffled(value), ensure_ascii=ascii_only, indent=indent or None)
    try:
        raw = other.encode()
    except UnicodeEncodeError:  # half of a surrogate pair has no UTF-8
        return
    spelled = canonical(json.dumps(value).encode())
    assert spelled is not None
    assert canonical(raw) == spelled
    assert json.loads(spelled) == value
    assert canonical(spelled) == spelled


@given(JSON, JSON)
def test_what_differs_is_spelled_differently(one: Any, two: Any) -> None:
    if json.dumps(one, sort_keys=True) != json.dumps(two, sort_keys=True):
        assert canonical(json.dumps(one).encode()) != canonical(json.dumps(two).encode())


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ('{"b": 1.50, "a": 1e2}', '{"a":1e2,"b":1.50}'),
        ('{"a": 1, "a": 2}', '{"a":1,"a":2}'),
        ('{"a": 2, "b": 0, "a": 1}', '{"a":2,"a":1,"b":0}'),
        ("12345678901234567890.123", "12345678901234567890.123"),
        ("9" * 5_000, "9" * 5_000),
        ("[true, false, null, [], {}]", "[true,false,null,[],{}]"),
        ('"\\u0041\\/é"', '"A/\\u00e9"'),
        ('"\\ud800"', '"\\ud800"'),
        ("NaN", "NaN"),
    ],
)
def test_numbers_and_repeated_names_stay_as_received(text: str, spelled: str) -> None:
    assert canonical(text.encode()) == spelled.encode()


@pytest.mark.parametrize(
    "body", [b"", b"{", b"{'a':1}", b'{"a":1} x', b'"\xff"', b"\xef\xbb\xbf{}", "{}".encode("utf-16"), b"[" * 200_000]
)
def test_what_is_no_json_has_no_spelling(body: bytes) -> None:
    assert canonical(body) is None


SEALS = Seals(Keyring(b"a test secret of thirty-two bytes or more"))
OTHERS = Seals(Keyring(b"another test secret of thirty-two bytes"))
PAY = Scope("u1", "POST", "/pay")


def test_a_fingerprint_is_keyed_and_its_parts_cannot_run_into_each_other() -> None:
    prints = {
        SEALS.fingerprint(PAY, b"{}", "application/json"),
        SEALS.fingerprint(PAY, b"{}", "text/plain"),
        SEALS.fingerprint(Scope("u1/", "POST", "pay"), b"{}", "application/json"),
        SEALS.fingerprint(Scope("u", "POST", "/pay1"), b"{}", "application/json"),
        OTHERS.fingerprint(PAY, b"{}", "application/json"),
        hashlib.sha256(b"POST/payu1{}").digest(),
    }
    assert len(prints) == 6
    assert SEALS.fingerprint(PAY, b"{ }", "application/JSON; charset=utf-8") in prints


@given(st.binary(max_size=200), st.lists(st.tuples(st.text(max_size=9), st.text(max_size=9)), max_size=3))
@settings(max_examples=examples(30))
def test_a_sealed_answer_opens_with_the_same_secret_only(body: bytes, headers: list[tuple[str, str]]) -> None:
    sealed = SEALS.seal(Response(201, body, tuple(headers)), "record", b"n" * 12)
    opened = SEALS.unseal(sealed, "record", 201)
    assert (opened.status, opened.body, opened.headers) == (201, body, tuple(headers))
    for seals, record, status in ((OTHERS, "record", 201), (SEALS, "other", 201), (SEALS, "record", 200)):
        with pytest.raises(BadReply):
            seals.unseal(sealed, record, status)


@pytest.mark.parametrize("size", [0, 255, 300, 4_000, 5_000, 60_000, 2**20])
def test_a_compressed_answer_comes_back_as_it_was(size: int) -> None:
    for body in (b"x" * size, random.Random(size).randbytes(size)):
        sealed = SEALS.seal(Response(200, body), "r", b"n" * 12)
        assert SEALS.unseal(sealed, "r", 200).body == body
        assert len(sealed) <= size + 64


def test_an_answer_that_grows_without_end_is_not_opened() -> None:
    """Only who has the secret could write one; it must not take the process's memory all the same."""
    machine = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = b"\x01" + machine.compress(bytes(64 * 2**20)) + machine.flush()
    for content in (bomb, bomb[:50], b"\x01nonsense", b"\x01"):
        cipher = SEALS._cipher("r").encrypt(b"n" * 12, content, b"idem-answer\x00200")
        with pytest.raises(BadReply):
            SEALS.unseal(SEALS.kid.encode() + b"n" * 12 + cipher, "r", 200)


CLAIM = ops.Claim(record="r", fingerprint=b"abcdeg:f", owner="o", lease_ms=1, ttl_ms=2)


def test_begin_reads_every_reply_of_its_contract() -> None:
    decode = ops.begin(SEALS, CLAIM, 0).decode
    started = decode([0, 3, b"charging"])
    assert isinstance(started, Started)
    assert (started.fence, started.point, started.owner) == (3, "charging", "o")
    sealed = SEALS.seal(Response(200, b"yes"), "r", b"n" * 12)
    replay = decode([1, 200, 0, sealed])
    assert isinstance(replay, Replay) and replay.response.body == b"yes" and replay.response.whole
    assert isinstance(decode([2, 5]), InFlight)
    assert decode([2, -1]) == InFlight(None)
    assert decode([3, CLAIM.fingerprint]) == Mismatch()
    assert decode([3, b"abcdef.00"]) == decode([3, b"abcdef:\xff"]) == ops.OtherSecret("abcdef")
    assert decode([4, 1, b"none"]) == Orphaned(1, "none")
    with pytest.raises(BadReply):
        decode([9])


@pytest.mark.parametrize("outcome", [Mismatch(), Orphaned(1, "none"), Replay(Response(200))])
def test_no_outcome_has_a_truth_value(outcome: Any) -> None:
    with pytest.raises(TypeError):
        bool(outcome)


@given(texts(300), texts(300), st.text(min_size=1, max_size=300))
def test_records_of_one_user_share_a_slot_whatever_the_text(route: str, other: str, event: str) -> None:
    one = record_of("app:", "u1", Scope("u1", "POST", route), "k")
    two = record_of("app:", "u1", Scope("u1", "PUT", other), "k2")
    assert slot(one) == slot(two) == slot("{u1}")
    assert slot(event_record("", "paystack", event) or "{paystack}") == slot("{paystack}")


def test_a_recovery_point_is_short() -> None:
    with pytest.raises(Misuse):
        ops.renew(Started("r", "o", 1, "none", 1, 2), "p" * 65, 0)


# -- signatures

BODY = b'{"event": "charge.success"}'


def signed(secret: bytes, digest: str = "sha512") -> str:
    return hmac.digest(secret, BODY, digest).hex()


def test_a_signature_is_the_bodys_and_the_secrets() -> None:
    verify = hmac_signature("X-Paystack-Signature", "sk_new", "sk_old")
    for secret in (b"sk_new", b"sk_old"):
        assert verify(BODY, {"x-paystack-signature": signed(secret)})
        assert verify(BODY, {"x-paystack-signature": signed(secret).upper()})
    good = signed(b"sk_new")
    for headers in ({}, {"x-other": good}, {"x-paystack-signature": ""}, {"x-paystack-signature": good[:-1]}):
        assert not verify(BODY, headers)
    assert not verify(BODY + b" ", {"x-paystack-signature": good})
    assert not verify(BODY, {"x-paystack-signature": signed(b"sk_new", "sha256")})
    assert not verify(BODY, {"x-paystack-signature": "é" * 128})


def test_a_signature_with_sha256_and_a_prefix() -> None:
    verify = hmac_signature("X-Signature", "s", digest="sha256", prefix="sha256=")
    assert verify(BODY, {"x-signature": "sha256=" + signed(b"s", "sha256")})
    assert not verify(BODY, {"x-signature": signed(b"s", "sha256")})


def test_all_secrets_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []
    monkeypatch.setattr(hmac, "compare_digest", lambda one, two: compared.append((one, two)) or one == two)
    assert hmac_signature("x-s", "new", "old")(BODY, {"x-s": signed(b"new")})
    assert len(compared) == 2


@pytest.mark.parametrize("secrets", [(), ("",), ("good", "")])
def test_a_signature_needs_a_secret(secrets: tuple[str, ...]) -> None:
    with pytest.raises(ConfigurationError):
        hmac_signature("x-s", *secrets)


def test_a_provider_is_checked() -> None:
    from datetime import timedelta

    verify = hmac_signature("x-s", "secret-of-mine")
    assert "secret-of-mine" not in repr(Provider(name="p", verify=verify)) + repr(verify)
    with pytest.raises(ConfigurationError):
        Provider(name="p", verify=verify, lease=timedelta(days=8))
    with pytest.raises(Misuse):
        Provider(name="", verify=verify)


FIELDS = st.lists(st.tuples(st.sampled_from(["a", "b", "file"]), st.binary(max_size=40)), max_size=4)


def multipart(parts: list[tuple[str, bytes]], boundary: str, *, end: bytes = b"\r\n", turned: bool = False) -> bytes:
    body = b""
    for name, content in parts:
        lines = [f'Content-Disposition: form-data; name="{name}"'.encode(), b"Content-Type: text/plain"]
        head = b"\r\n".join(reversed(lines) if turned else lines)
        body += b"--" + boundary.encode() + b"\r\n" + head + b"\r\n\r\n" + content + b"\r\n"
    return body + b"--" + boundary.encode() + b"--" + end


@given(FIELDS, FIELDS, st.booleans())
def test_multipart_is_compared_without_its_boundary(
    parts: list[tuple[str, bytes]], others: list[tuple[str, bytes]], turned: bool
) -> None:
    def printed(parts: list[tuple[str, bytes]], boundary: str, kind: str = "multipart/form-data", **how: Any) -> str:
        quoted = f'"{boundary}"' if how.get("turned") else boundary
        return SEALS.fingerprint(PAY, multipart(parts, boundary, **how), f"{kind}; boundary={quoted}")

    first = printed(parts, "----first8Ya")
    assert printed(parts, "another-0123456789", turned=turned, end=b"" if turned else b"\r\n") == first
    assert printed(parts, "----first8Ya", kind="multipart/mixed") != first
    if others != parts:
        assert printed(others, "another-0123456789") != first


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"--b\r\n\r\nx\r\n--b--\r\n", "multipart/form-data"),
        (b"--b\r\nno colon\r\n\r\nx\r\n--b--\r\n", "multipart/form-data; boundary=b"),
        (b"before\r\n--b\r\nA: 1\r\n\r\nx\r\n--b--\r\n", "multipart/form-data; boundary=b"),
        (b"--b\r\nA: 1\r\n\r\nx\r\n--b--\r\nafter", "multipart/form-data; boundary=b"),
        (b"--b\r\nA: 1\r\n\r\nx\r\n--bb\r\nA: 1\r\n\r\ny\r\n--b--", "multipart/form-data; boundary=b"),
        (b"--b\r\nA: 1\r\n\r\nx", "multipart/form-data; boundary=b"),
        (b"--b\r\nA: 1\r\n\r\nx\r\n--b--", "multipart/form-data; boundary=other"),
        (b"--b\r\nA: 1\r\n\r\nx\r\n--b--", "multipart/form-data; boundary=other; boundary=b"),
        (b"", "multipart/form-data; boundary=b"),
        (b"--b", "multipart/form-data; boundary=b"),
        (b"--", "multipart/form-data; boundary=b"),
    ],
)
def test_what_is_not_exactly_multipart_is_compared_as_it_came(body: bytes, kind: str) -> None:
    assert parts_of(body, kind) is None
    assert SEALS.fingerprint(PAY, body, kind) == SEALS.fingerprint(PAY, body, "text/plain")


@given(st.lists(st.sampled_from([b"--b", b"--", b"b", b"\r\n", b"\r\n\r\n", b":", b"A: 1", b" ", b"\0", b"x"])))
def test_no_body_is_too_odd_for_a_fingerprint(pieces: list[bytes]) -> None:
    for kind in ("multipart/form-data; boundary=b", "application/json", ""):
        assert SEALS.fingerprint(PAY, b"".join(pieces), kind)


def test_a_field_that_comes_twice_keeps_its_order() -> None:
    def printed(*fields: bytes) -> str:
        body = b"--b\r\n" + b"\r\n".join(fields) + b"\r\n\r\nx\r\n--b--"
        return SEALS.fingerprint(PAY, body, "multipart/form-data; boundary=b")

    one, two, other = b'Content-Disposition: form-data; name="a"', b'Content-Disposition: form-data; name="b"', b"X: 1"
    assert printed(one, two) != printed(two, one)
    assert printed(one, other, two) == printed(other, one, two)
