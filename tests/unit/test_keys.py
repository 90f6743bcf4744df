"""Key grammar: user text can neither move a key to another slot nor collide with another key."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hustlex.core.keys import component, slot, tag
from hustlex.errors import Misuse

SAFE = re.compile(r"[A-Za-z0-9._~/@+=%-]{1,105}")
ANY_TEXT = st.text(st.characters(), min_size=1)


@given(ANY_TEXT)
def test_every_text_becomes_a_safe_component(text: str) -> None:
    assert SAFE.fullmatch(component(text))


@given(ANY_TEXT, ANY_TEXT)
def test_different_texts_give_different_components(one: str, other: str) -> None:
    assume(one != other)
    assert component(one) != component(other)


@given(st.text("ab:{}%~", min_size=90, max_size=120), st.text("ab:{}%~", min_size=90, max_size=120))
def test_different_long_texts_give_different_components(one: str, other: str) -> None:
    assume(one != other)
    assert component(one) != component(other)


def test_plain_ids_stay_readable() -> None:
    assert component("user-42@example.com") == "user-42@example.com"
    assert component("a:b {c}") == "a%3Ab%20%7Bc%7D"


def test_a_lone_surrogate_is_encoded() -> None:
    assert component("\udc80") == "%ED%B2%80"


def test_an_empty_component_is_misuse() -> None:
    with pytest.raises(Misuse):
        component("")


@given(ANY_TEXT, st.text("abc:", max_size=10), st.text("abc:{}", max_size=10))
def test_the_tag_alone_decides_the_slot(text: str, before: str, after: str) -> None:
    assert slot(before + tag(text) + after) == slot(tag(text))


def test_slot_follows_the_published_vectors() -> None:
    assert slot("123456789") == 0x31C3 % 16384
    assert slot("foo{}{bar}") == slot("foo{}{bar}")
    assert slot("{user1000}.following") == slot("{user1000}.followers") == slot("user1000")
    assert slot("foo{{bar}}zap") == slot("{bar")
    assert slot("foo{}bar") != slot("bar")


def test_slot_agrees_with_redis_py() -> None:
    from redis.crc import key_slot

    for key in ("a", "foo{bar}", "foo{}", "{}a", "ratelimit:{u1}:login:0", "é{ü}"):
        assert slot(key) == key_slot(key.encode())
