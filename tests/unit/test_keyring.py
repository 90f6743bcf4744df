"""Purpose keys: RFC 5869, one label per use, nothing shown."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import traceback
import uuid
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from hustlex.app import HustleX
from hustlex.core.keyring import KID, Keyring
from hustlex.errors import ConfigurationError
from hustlex.idempotency.webhooks import hmac_signature
from hustlex.settings import load_settings

ROOT = bytes(range(32))


@pytest.mark.parametrize("length", [1, 16, 32, 33, 64, 100])
def test_keys_are_hkdf_sha256(length: int) -> None:
    expected = HKDF(hashes.SHA256(), length, b"hustlex-keyring-1", b"otp-mac").derive(ROOT)
    assert Keyring(ROOT).key("otp-mac", length) == expected


def test_labels_and_roots_give_different_keys() -> None:
    keys = {Keyring(root).key(label) for root in (ROOT, ROOT[::-1]) for label in ("a", "b")}
    assert len(keys) == 4


def test_text_and_bytes_of_a_root_are_the_same() -> None:
    assert Keyring(NNN).key("x") == Keyring(NNN.encode()).key("x")


@pytest.mark.parametrize("root", ["", "short", b"x" * 31])
def test_a_short_root_is_refused_without_showing_it(root: bytes | str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Keyring(root)
    assert "at least 32 bytes" in str(caught.value)
    assert not root or (root if isinstance(root, str) else root.decode()) not in str(caught.value)


def test_references_are_stable_and_not_the_plain_hash() -> None:
    reference = Keyring(ROOT).reference("+2348012345678")
    assert re.fullmatch(r"[a-z2-7]{26}", reference)
    assert reference == Keyring(ROOT).reference("+2348012345678")
    assert reference != Keyring(ROOT[::-1]).reference("+2348012345678")
    assert hashlib.sha256(b"+2348012345678").hexdigest()[:8] not in reference


NNN, OOO = "nnn, a secret of thirty-two bytes", "ooo, a secret of thirty-two bytes"
NEXT, OTHER = bytes(range(1, 33)), bytes(range(2, 34))


def test_a_kid_names_a_root_and_nothing_else() -> None:
    kids = [Keyring(root).kid for root in (ROOT, NEXT, OTHER)]
    assert all(re.fullmatch(KID, kid) for kid in kids) and len({*kids}) == 3
    assert Keyring(NEXT, old=[ROOT], reference=ROOT).kid == kids[1]


def test_old_roots_keep_their_keys() -> None:
    ring = Keyring(OTHER, old=[NEXT, ROOT], reference=ROOT)
    assert [old.kid for old in ring.old] == [Keyring(NEXT).kid, Keyring(ROOT).kid]
    assert [each.key("x") for each in (ring, *ring.old)] == [Keyring(root).key("x") for root in (OTHER, NEXT, ROOT)]


@pytest.mark.parametrize(
    ("root", "old"), [(ROOT, ()), (ROOT, [NEXT]), (NEXT, [ROOT]), (OTHER, [NEXT, ROOT]), (OTHER, [NEXT]), (OTHER, ())]
)
def test_references_stay_while_roots_change(root: bytes, old: list[bytes]) -> None:
    ring = Keyring(root, old=old, reference=ROOT)
    assert {each.reference("ada") for each in (ring, *ring.old)} == {Keyring(ROOT).reference("ada")}


@pytest.mark.parametrize(
    ("root", "old", "reference"),
    [
        (ROOT, [ROOT], ROOT),
        ("b" * 32, [NEXT], NEXT),  # as text and as bytes
        (ROOT, [NEXT, NEXT], ROOT),
        (ROOT, [b"short"], ROOT),
        (ROOT, [NEXT], b"short"),
        (ROOT, [NEXT], None),
        (ROOT, "b" * 64, ROOT),
        (ROOT, b"b" * 64, ROOT),
        (ROOT, [None], ROOT),
        (ROOT, [7], ROOT),
        (ROOT, None, ROOT),
        (ROOT, {NEXT}, ROOT),
        (32, (), None),
        (ROOT, (), 7),
    ],
)
def test_nonsense_is_refused_without_showing_it(root: Any, old: Any, reference: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Keyring(root, old=old, reference=reference)
    assert "bbbb" not in str(caught.value) and "short" not in str(caught.value)


def test_repr_hides_everything() -> None:
    ring = Keyring(NEXT, old=[ROOT], reference=ROOT)
    assert repr(ring) == "Keyring(...)" and repr(ring.old) == "(Keyring(...),)"


# -- settings


def test_settings_hand_secrets_on(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().secrets() == {"secret": None, "old_secrets": (), "reference_secret": None}
    monkeypatch.setenv("HUSTLEX_SECRET", NNN)
    monkeypatch.setenv("HUSTLEX_OLD_SECRETS", json.dumps([OOO]))
    monkeypatch.setenv("HUSTLEX_REFERENCE_SECRET", OOO)
    settings = load_settings()
    assert settings.secrets() == {"secret": NNN, "old_secrets": (OOO,), "reference_secret": OOO}
    assert "nnn" not in repr(settings) and "ooo" not in repr(settings) + str(settings) + settings.model_dump_json()
    HustleX(settings.url, **settings.secrets())


@pytest.mark.parametrize("text", ["not-json-" + OOO, "[" + OOO + "]", '["ooooo"]', '"' + OOO + '"', "7"])
def test_a_list_that_is_none_is_refused_without_showing_it(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("HUSTLEX_OLD_SECRETS", text)
    with pytest.raises(ConfigurationError, match=r"(?i)old_secrets") as caught:
        load_settings()
    assert "ooo" not in "".join(traceback.format_exception(caught.value))


# -- what anybody would guess

GUESSED: list[bytes | str] = [
    "0" * 32, b"\0" * 64, "x" * 40, "ab" * 16, "0123456789abcdef" * 2, "deadbeef" * 5, " " * 32, "\t\n" * 20,
    "abcdefghijklmnopqrstuvwxyz0123456789", "0123456789abcdefghijklmnopqrstuvwxyz",
    "change-me-change-me-change-me-please", "CHANGE_ME_IN_PRODUCTION_OR_ELSE_12345",
    "your-secret-key-goes-here-0123456789",
    "<replace with 32 random bytes or more>", "super-secret-key-of-our-production-1",
    "this is a placeholder, do set it!!",
    "secretsecretsecretsecretsecretsecret1", "1admin-admin-admin-admin-admin-admin-", "abc" * 12 + "!?",
    b"\0" * 31 + b"\1", "${HUSTLEX_SECRET}, as the vault has it", "{{ secrets.HUSTLEX_ROOT_SECRET_KEY }}",
    "%HUSTLEX_SECRET_OF_THIS_MACHINE_64%",
    "<32 bytes of the vault's own choosing>", "$(openssl rand -hex 32) is not run here",
    "TODO: set a real secret before we go live", "qwertyuiopasdfghjklzxcvbnm1234567890",
]  # fmt: skip


@pytest.mark.parametrize("root", GUESSED, ids=repr)
@pytest.mark.parametrize("place", ["secret", "old", "reference"])
def test_a_secret_that_anybody_would_guess_is_refused_wherever_it_stands(root: bytes | str, place: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        if place == "secret":
            Keyring(root)
        elif place == "old":
            Keyring(ROOT, old=[root], reference=ROOT)
        else:
            Keyring(ROOT, reference=root)
    said = str(caught.value)
    shown = root if isinstance(root, str) else root.decode()
    assert "secret" in said and "make one with" in said and shown not in said and shown[:9] not in said


def test_random_secrets_are_taken_in_every_usual_spelling() -> None:
    for _ in range(300):
        for root in (secrets.token_bytes(32), secrets.token_hex(16), secrets.token_urlsafe(32), str(uuid.uuid4())):
            Keyring(root)


@pytest.mark.parametrize("odd", [None, 7, 1.5, [], object()])
def test_what_is_no_secret_is_refused(odd: Any) -> None:
    with pytest.raises(ConfigurationError, match="secret"):
        Keyring(odd)


@pytest.mark.parametrize("odd", ["", " ", "\t\n ", b"   ", "0000", "change-me", None, 7])
def test_a_webhooks_secret_that_anybody_would_guess_is_refused(odd: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        hmac_signature("x-signature", "a good one", odd)
    assert not (isinstance(odd, str) and odd.strip()) or odd not in str(caught.value)
