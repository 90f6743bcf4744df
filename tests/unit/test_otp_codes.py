"""Codes, MACs, seals: pure functions, held against vectors and against what they must never do."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hustlex.core.context import context_digest
from hustlex.core.keyring import Keyring
from hustlex.errors import BadReply, Misuse
from hustlex.otp.codes import Codes, bytes_of, sealed_text, short_ref, text_of, typed_digits

CODES = Codes(Keyring("a test secret of thirty-two bytes or more"))
OTHER = Codes(Keyring("another secret of thirty-two bytes or more"))
SEED = bytes(range(16))
# Computed from the written construction with another HKDF (the cryptography package).
VECTORS = ["678508", "964351", "441199"]
MAC_VECTOR = "fb9f31af73e135cc99c6b79fd3d24469"


def test_codes_are_the_same_in_every_release() -> None:
    """A code issued by one version must verify in the next: these values may never change."""
    assert [CODES.code(SEED, generation, 6) for generation in (1, 2, 3)] == VECTORS
    assert CODES.mac("cid", "login", "", "123456").hex() == MAC_VECTOR


def test_a_code_depends_on_key_seed_and_generation() -> None:
    made = {CODES.code(SEED, 1, 10), CODES.code(SEED, 2, 10), CODES.code(SEED[::-1], 1, 10), OTHER.code(SEED, 1, 10)}
    assert len(made) == 4


@given(st.binary(min_size=16, max_size=16), st.integers(1, 10), st.integers(6, 10))
def test_a_code_has_exactly_its_digits(seed: bytes, generation: int, digits: int) -> None:
    code = CODES.code(seed, generation, digits)
    assert len(code) == digits
    assert code.isdecimal()
    assert code.isascii()


def test_codes_are_uniform() -> None:
    """Chi-square of the first two digits over 20,000 codes; 99 degrees of freedom, 170 is beyond p = 1e-5."""
    seen = Counter(CODES.code(number.to_bytes(16, "big"), 1, 6)[:2] for number in range(20_000))
    assert sum((seen[f"{pair:02}"] - 200) ** 2 / 200 for pair in range(100)) < 170


def test_words_above_the_last_full_multiple_are_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A word of all ones would favour small codes; the next word is taken instead, over block ends too."""
    blocks = iter([b"\xff" * 32, b"\xff" * 8 + (1234567).to_bytes(8, "big") + bytes(16)])
    monkeypatch.setattr(CODES._derive, "digest", lambda _: next(blocks))
    assert CODES.code(SEED, 1, 6) == "234567"


def test_a_mac_binds_everything() -> None:
    base = ("cid", "login", "ctx", "123456")
    macs = {CODES.mac(*base), OTHER.mac(*base)}
    for position in range(4):
        changed = [*base]
        changed[position] += "1"
        macs.add(CODES.mac(*changed))
    assert len(macs) == 6
    assert {len(mac) for mac in macs} == {16}


def test_mac_nonce_and_grant_never_meet() -> None:
    """The same parts under another label give another value."""
    assert CODES.nonce_mark("a", b"b") != CODES.mac("a", "b", "", "").hex()
    assert CODES.nonce_mark("", b"b") == ""
    assert CODES.nonce_mark("n", b"mac of one code") != CODES.nonce_mark("n", b"mac of another")
    assert CODES.secret("otp-grant", b"mac", "n") == CODES.secret("otp-grant", b"mac", "n")
    different = [
        ("otp-grant", b"mac", "n"),
        ("otp-grant", b"mac", "m"),
        ("otp-grant", b"cam", "n"),
        ("otp-device", b"mac", "n"),
    ]
    assert len({CODES.secret(*parts) for parts in different}) == 4


def test_a_sealed_phone_opens_for_its_own_ref_only() -> None:
    sealed = CODES.seal("+2348031234567", "ref-a", bytes(12))
    assert CODES.unseal(sealed, "ref-a") == "+2348031234567"
    assert b"8031234567" not in sealed
    assert CODES.unseal(sealed_text(sealed).encode(), "ref-a") == "+2348031234567"
    for codes, ref, text in (
        (CODES, "ref-b", sealed),
        (OTHER, "ref-a", sealed),
        (CODES, "ref-a", sealed[:-4]),
        (CODES, "ref-a", b""),
        (CODES, "ref-a", "é".encode()),
        (CODES, "ref-a", sealed_text(sealed).encode() + b"\xc3"),
    ):
        with pytest.raises(BadReply) as caught:
            codes.unseal(text, ref)
        assert "803" not in str(caught.value)


@pytest.mark.parametrize(
    "typed",
    [
        "123456",
        "123 456",
        " 123-456\n",
        "1\u200b2\u200d3456",
        "123\u2013456",
        "\u0661\u0662\u0663\u0664\u0665\u0666",
        "\uff11\uff12\uff13\uff14\uff15\uff16",
        "\u09e7\u09e8\u09e9\u09ea\u09eb\u09ec",
        "\ufeff123456",
        "123\u00a0456",
    ],
)
def test_what_people_type_is_read(typed: str) -> None:
    assert typed_digits(typed, 6) == "123456"


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "12345",
        "1234567",
        "12345a",
        "12345.",
        "+12345",
        "\uff11\uff12\uff13",
        "½23456",
        "1" * 500,
        "123456" + " " * 500,
        "\ud800123456",
        "\0" * 6,
    ],
)
def test_what_cannot_be_a_code_is_not(typed: str) -> None:
    assert typed_digits(typed, 6) is None


@given(st.text())
def test_any_text_is_read_without_error(typed: str) -> None:
    digits = typed_digits(typed, 6)
    assert digits is None or (len(digits) == 6 and digits.isascii() and digits.isdecimal())


def test_a_context_is_its_content_not_its_order() -> None:
    assert context_digest({"a": 1, "b": "x"}) == context_digest({"b": "x", "a": 1})
    different = [{"a": 1}, {"a": "1"}, {"a": 2}, {"b": 1}, {"a": 1, "b": 1}]
    assert len({context_digest(ctx) for ctx in different}) == len(different)
    assert context_digest(None) == ""


@pytest.mark.parametrize("bad", [{}, {"amount": 1.5}, {"a": None}, {"a": {"b": 1}}, {1: "a"}, {"to": "\ud800"}])
def test_a_context_without_fixed_json_is_refused(bad: dict[str, int]) -> None:
    with pytest.raises(Misuse):
        context_digest(bad)


def test_refs_are_three_plain_letters() -> None:
    refs = {short_ref(str(number)) for number in range(2000)}
    assert len(refs) > 1000
    assert not set("".join(refs)) & set("AEIOULSBQVZ0123456789")
    assert {len(ref) for ref in refs} == {3}


@given(st.binary(max_size=40))
def test_base64url_comes_back(raw: bytes) -> None:
    assert bytes_of(text_of(raw)) == raw
    assert "=" not in text_of(raw)


def test_nothing_shows_the_keys() -> None:
    assert repr(CODES) == "Codes(...)"
