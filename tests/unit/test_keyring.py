"""Purpose keys: RFC 5869, one label per use, nothing shown."""

from __future__ import annotations

import hashlib
import re

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from hustlex.core.keyring import Keyring
from hustlex.errors import ConfigurationError

ROOT = bytes(range(32))


@pytest.mark.parametrize("length", [1, 16, 32, 33, 64, 100])
def test_keys_are_hkdf_sha256(length: int) -> None:
    expected = HKDF(hashes.SHA256(), length, b"hustlex-keyring-1", b"otp-mac").derive(ROOT)
    assert Keyring(ROOT).key("otp-mac", length) == expected


def test_labels_and_roots_give_different_keys() -> None:
    keys = {Keyring(root).key(label) for root in (ROOT, ROOT[::-1]) for label in ("a", "b")}
    assert len(keys) == 4


def test_text_and_bytes_of_a_root_are_the_same() -> None:
    assert Keyring("a" * 32).key("x") == Keyring(b"a" * 32).key("x")


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


def test_repr_hides_everything() -> None:
    assert repr(Keyring(ROOT)) == "Keyring(...)"
