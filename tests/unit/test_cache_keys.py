"""Key names and templates: what they read as, which slot they are in, and that no two meanings share one key."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hustlex.cache import keys
from hustlex.cache.api import Caches
from hustlex.cache.template import KeyTemplate
from hustlex.core.keys import slot
from hustlex.drivers.aio import Driver
from hustlex.errors import Misuse
from tests.support.ids import texts


def entry(name: str, *parts: Any, prefix: str = "") -> str:
    return keys.entry(prefix, keys.logical(name, parts))


def test_keys_read_as_the_application_wrote_them() -> None:
    assert entry("user", 42) == "cache:user:42"
    assert entry("gigs", "category", "design") == "cache:gigs:category:design"
    assert entry("gigs:category", "design") == "cache:gigs:category:design"
    assert entry("user", 42, prefix="app1.") == "app1.cache:user:42"
    assert keys.lease("app1.", "app1.cache:user:42") == "app1.cl:{app1.cache:user:42}"
    assert entry("u", UUID(int=1)) == "cache:u:00000000-0000-0000-0000-000000000001"


def test_entry_and_lease_share_a_slot_whatever_the_arguments() -> None:
    """T-C19: 10,000 random keys, braces and colons among them."""
    dice = random.Random(20261123)
    alphabet = "ab{}: %é~*🙂"
    for _ in range(10_000):
        prefix = dice.choice(("", "app:", "x.cache:"))
        key = entry(
            "user", *("x" + "".join(dice.choices(alphabet, k=dice.randrange(1, 60))) for _ in range(2)), prefix=prefix
        )
        assert slot(key) == slot(keys.lease(prefix, key))
        assert not set(key) & set("{} ")
        assert len(key.encode()) <= 250


part = texts(150)


@given(st.lists(part, min_size=1, max_size=4), st.lists(part, min_size=1, max_size=4))
def test_different_arguments_have_different_keys(one: list[str], other: list[str]) -> None:
    assert (entry("user", *one) == entry("user", *other)) == (one == other)


def test_long_parts_and_long_keys_end_in_a_digest() -> None:
    long = keys.component("a" * 97)
    assert long.startswith("a" * 96 + "~")
    assert len(long) == 96 + 1 + 16
    assert keys.component("a" * 96) == "a" * 96
    assert keys.component("a" * 98) != long
    whole = [entry("user", *("b" * 96,) * 2, "c" * 90 + str(n)) for n in range(2)]
    assert [len(key) for key in whole] == [250, 250]
    assert whole[0] != whole[1]


@pytest.mark.parametrize("value", ["", None, 1.5, b"x", ["a"], object()])
def test_parts_without_one_stable_text_are_refused(value: Any) -> None:
    with pytest.raises(Misuse):
        entry("user", value)


@pytest.mark.parametrize("name", ["", ":", "user:", ":user", "a b", "a{b}", "a::b", "é"])
def test_malformed_names_are_refused(name: str) -> None:
    with pytest.raises(Misuse):
        keys.check_name(name)


names = st.lists(st.sampled_from(["a", "b", "gigs", "gig"]), min_size=1, max_size=3).map(":".join)


@given(names, names, st.lists(st.sampled_from(["a", "b", "gigs", "gig"]), min_size=1, max_size=3), st.data())
def test_caches_that_may_stand_beside_each_other_share_no_entry(
    one: str, other: str, parts: list[str], data: Any
) -> None:
    try:
        keys.check_apart(one, [other])
    except Misuse:
        assert one != other
        return
    if one != other:
        others = data.draw(st.lists(st.sampled_from(["a", "b", "gigs", "gig"]), min_size=1, max_size=3))
        assert entry(one, *parts) != entry(other, *others)


@pytest.mark.parametrize(("first", "second"), [("gigs", "gigs:category"), ("gigs:category", "gigs"), ("a:b:c", "a")])
def test_names_of_which_one_goes_on_where_the_other_ends_are_refused_when_they_are_declared(
    first: str, second: str
) -> None:
    caches = Caches(Driver("redis://127.0.0.1:1"))
    declared = caches(first, int, ttl=timedelta(minutes=1))
    again = caches(first, str, ttl=timedelta(minutes=1))
    beside = caches(f"z{second}", int, ttl=timedelta(minutes=1))
    with pytest.raises(Misuse, match="could share entries"):
        caches(second, int, ttl=timedelta(minutes=1))
    del declared, again, beside
    caches(second, int, ttl=timedelta(minutes=1))


@pytest.mark.parametrize("prefix", ["{app}:", "a}", "é", "a" * 65])
def test_prefixes_that_would_part_entry_and_lease_are_refused(prefix: str) -> None:
    with pytest.raises(Misuse):
        keys.check_prefix(prefix)


def load(user_id: int, lang: str = "en", *more: str, **options: str) -> None: ...


def logical(template: str, *args: Any, **options: Any) -> str:
    return KeyTemplate(template, "user", load).logical(args, options)


def test_templates_take_arguments_however_they_are_passed() -> None:
    assert logical("user:{user_id}", 42) == "user:42"
    assert logical("user:{user_id}", user_id=42) == "user:42"
    assert logical("user:{user_id}:{lang}", 42) == "user:42:en"
    assert logical("user:{user_id}:{lang}", 42, "a:b") == "user:42:a%3Ab"
    assert logical("user:v2.{user_id}-x", 42) == "user:v2.42-x"


@pytest.mark.parametrize(
    "template",
    [
        "user:{id}",
        "user:{more}",
        "user:{options}",
        "user:{}",
        "user:{user_id.x}",
        "user:{user_id!r}",
        "user:{user_id:03}",
        "user:{user_id",
        "user:user_id}",
        "user:{user_id}{lang}",
        "user:{{user_id}}",
        "user::{user_id}",
        "user:{user_id} ",
        "users:{user_id}",
        "",
    ],
)
def test_templates_are_checked_while_decorating(template: str) -> None:
    with pytest.raises(Misuse):
        KeyTemplate(template, "user", load)


def test_an_unknown_placeholder_names_the_parameters() -> None:
    with pytest.raises(Misuse, match=r"its parameters are: user_id, lang"):
        KeyTemplate("user:{id}", "user", load)


def test_a_wrong_call_fails_as_the_function_would() -> None:
    with pytest.raises(TypeError):
        logical("user:{user_id}")
    with pytest.raises(Misuse):
        logical("user:{user_id}", None)
