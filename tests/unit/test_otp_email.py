"""Addresses as typed: one mailbox stays one, two never become one, and nothing gets through that could end a header."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hustlex.errors import Misuse
from hustlex.otp import DestinationBlocked, Email, InvalidEmail, Mailboxes
from hustlex.otp.email import Mailbox, read

ALL = Mailboxes()


def address(typed: str, served: Mailboxes = ALL) -> object:
    found = read(Email(typed), served)
    return found.number if isinstance(found, Mailbox) else found


@pytest.mark.parametrize(
    ("typed", "number"),
    [
        ("ada@example.com", "ada@example.com"),
        ("  ada@Example.COM\n", "ada@example.com"),
        ("Ada.Obi+ajo@example.com", "Ada.Obi+ajo@example.com"),
        ("o'neil@mail.example.co.uk", "o'neil@mail.example.co.uk"),
        ("адам@example.com", "адам@example.com"),
        ("a@xn--strae-oqa.de", "a@xn--strae-oqa.de"),
        ("-@example.com", "-@example.com"),
    ],
)
def test_an_address_is_read(typed: str, number: str) -> None:
    assert address(typed) == number


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "@",
        "ada",
        "ada@",
        "@example.com",
        "ada@localhost",
        "ada@example.com.",
        "ada@.example.com",
        "ada@exa mple.com",
        "ada@-example.com",
        "ada@127.0.0.1",
        "ada@[127.0.0.1]",
        "ada@straße.de",
        "ada b@example.com",
        '"ada"@example.com',
        "ada@b@example.com",
        "<ada@example.com>",
        "ada,bob@example.com",
        "ada\n@example.com",
        "ada\x00@example.com",
        "ada\ud800@example.com",
        "ada\u202e@example.com",
        ".ada@example.com",
        "ada.@example.com",
        "a..b@example.com",
        "a" * 65 + "@example.com",
        "a@" + "b." * 130 + "com",
        "08031234567",
    ],
)
def test_what_no_mail_can_reach_is_invalid(typed: str) -> None:
    assert address(typed) == InvalidEmail()


@given(st.text(max_size=80) | st.from_regex(r"[a-zA-Z0-9.+_é-]{1,20}@[a-zA-Z0-9.-]{1,20}", fullmatch=True))
def test_any_text_has_an_answer_and_a_read_one_stays_itself(typed: str) -> None:
    found = address(typed)
    if isinstance(found, str):
        assert address(found) == found
        assert found.isprintable()
        assert not set(found) & set(' ,;:<>()[]\\"')


LOCAL = st.from_regex(r"[a-zA-Z0-9+.ßKéΩ]{1,6}", fullmatch=True)


@given(LOCAL, LOCAL)
def test_two_mailboxes_never_become_one(one: str, other: str) -> None:
    found = [address(f"{local}@example.com") for local in (one, other)]
    if one != other and all(isinstance(text, str) for text in found):
        assert found[0] != found[1]


def test_what_is_often_one_mailbox_counts_together() -> None:
    spellings = ["ada.obi@example.com", "Ada.Obi@example.com", "adaobi+1@example.com", "a.d.aobi+x+y@example.com"]
    assert len({Mailbox(text).stem() for text in spellings}) == 1
    assert Mailbox("+@example.com").stem() == "+@example.com"
    assert Mailbox("ada@example.com").stem() != Mailbox("ada@example.org").stem()


def test_domains_can_be_restricted() -> None:
    ours = Mailboxes(domains=frozenset({"example.com"}))
    assert address("ada@EXAMPLE.com", ours) == "ada@example.com"
    assert address("ada@example.org", ours) == DestinationBlocked(option="OtpOptions.mailboxes.domains")
    assert address("ada@sub.example.com", ours) == DestinationBlocked(option="OtpOptions.mailboxes.domains")


def test_an_address_hides() -> None:
    assert repr(Email("ada@example.com")) == "Email(address='...')"
    with pytest.raises(TypeError):
        pickle.dumps(Email("ada@example.com"))
    for wrong in (None, 7, b"ada@example.com", ["ada@example.com"]):
        with pytest.raises(Misuse, match="address cannot be"):
            Email(wrong)  # type: ignore[arg-type]
