"""Django's cache and session contracts on a real server, and what the server may hold of them."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any

import django
import pytest
import redis
from django.conf import settings
from django.contrib.sessions.backends.base import CreateError, UpdateError

from hustlex.errors import ConfigurationError, Misuse, Unavailable
from tests.conftest import SECRET

if not settings.configured:
    settings.configure(SECRET_KEY="a key of tests alone", SESSION_ENGINE="hustlex.django.sessions")
    django.setup()

from django.core.exceptions import (
    BadRequest,
    DisallowedHost,
    PermissionDenied,
    SuspiciousOperation,
    TooManyFilesSent,
)
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.template.response import SimpleTemplateResponse
from django.test import RequestFactory

from hustlex.django import front, idempotent, login_required, rate_limit
from hustlex.django.cache import HustlexCache
from hustlex.django.sessions import SessionStore


@pytest.fixture
def cache(url: str) -> Iterator[HustlexCache]:
    backend = HustlexCache(url, {"KEY_PREFIX": "shop"})
    yield backend
    backend._driver.close()


@pytest.fixture
def site(url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(settings, "HUSTLEX_URL", url, raising=False)
    monkeypatch.setattr(settings, "HUSTLEX_SECRET", SECRET, raising=False)
    yield
    front().close()
    front.cache_clear()


VALUES: list[Any] = [
    0,
    -7,
    10**30,
    2**63 - 1,
    -(2**63),
    True,
    None,
    "",
    "12",
    b"12",
    1.5,
    Decimal("2.50"),
    {"a": [1, (2,)]},
    {1, 2},
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_value_comes_back_as_it_was(cache: HustlexCache, value: Any) -> None:
    cache.set("k", value)
    found = cache.get("k", "absent")
    assert (found, type(found)) == (value, type(value))
    assert cache.has_key("k")


def test_lives_are_djangos(cache: HustlexCache, raw: redis.Redis) -> None:
    cache.set("default", 1)
    cache.set("for-ever", 1, timeout=None)
    cache.set("short", 1, timeout=0.5)
    assert 290_000 < raw.pttl("django:shop:1:default") <= 300_000
    assert raw.pttl("django:shop:1:for-ever") == -1
    assert 0 < raw.pttl("django:shop:1:short") <= 500
    cache.set("default", 1, timeout=0)
    assert not cache.has_key("default")
    assert cache.touch("for-ever", 60)
    assert 0 < raw.pttl("django:shop:1:for-ever") <= 60_000
    assert cache.touch("for-ever", None)
    assert raw.pttl("django:shop:1:for-ever") == -1
    assert not cache.touch("nobody")
    assert not cache.touch("nobody", None)


def test_add_and_incr_are_one_step_among_threads(cache: HustlexCache) -> None:
    cache.set("n", 0, timeout=60)
    with ThreadPoolExecutor(16) as pool:
        won = list(pool.map(lambda _: cache.add("first", 1), range(64)))
        list(pool.map(lambda _: cache.incr("n"), range(64)))
    assert won.count(True) == 1
    assert cache.get("n") == 64
    assert cache.decr("n", 4) == 60
    for absent in ("nobody", "text"):
        cache.set("text", "x")
        with pytest.raises(ValueError, match="no whole number"):
            cache.incr(absent)


def test_many_at_once_and_versions(cache: HustlexCache) -> None:
    assert cache.set_many({"a": 1, "b": "x"}) == []
    assert cache.get_many(["a", "b", "c"]) == {"a": 1, "b": "x"}
    assert cache.get("a", version=2) is None
    assert cache.incr_version("a") == 2
    assert cache.get("a", version=2) == 1
    cache.delete_many(["a", "b"])
    assert cache.get("b") is None
    assert cache.get_or_set("c", lambda: 5) == 5


def test_clear_takes_its_own_keys_alone(cache: HustlexCache, url: str, raw: redis.Redis) -> None:
    other = HustlexCache(url, {"KEY_PREFIX": "sho"})
    other.set("k", 1)
    cache.set("k", 1, version=3)
    raw.set("ratelimit:x", 1)
    cache.clear()
    assert sorted(raw.keys()) == [b"django:sho:1:k", b"ratelimit:x"]
    other._driver.close()


def test_clear_leaves_a_longer_prefix_alone(url: str, raw: redis.Redis) -> None:
    caches = [HustlexCache(url, {"KEY_PREFIX": prefix}) for prefix in ("shop", "shop:eu", "s*", "")]
    for cache in caches:
        cache.set("k", 1, version=12)
    caches[0].clear()
    caches[2].clear()
    assert sorted(raw.keys()) == [b"django::12:k", b"django:shop:eu:12:k"]
    for cache in caches:
        cache._driver.close()


def test_numbers_of_any_length_come_back_and_no_interpreters_error(cache: HustlexCache, raw: redis.Redis) -> None:
    cache.set("k", 10**5_000)
    assert cache.get("k") == 10**5_000
    for written, found in ((b"9" * 5_000, None), (b"-", None), (b"7", 7)):
        raw.set("django:shop:1:k", written)
        assert cache.get("k") == found
    cache.set("k", 2**63 - 1)
    with pytest.raises(ValueError, match="over 64 bits"):
        cache.incr("k")
    for odd in (1.5, "1", True, None, 2**64):
        with pytest.raises(Misuse, match="delta cannot be"):
            cache.incr("k", odd)  # type: ignore[arg-type]


@pytest.mark.parametrize("odd", ["5", float("inf"), float("nan"), 10**20, 1e300, True, [5]], ids=repr)
def test_what_is_no_timeout_is_refused(cache: HustlexCache, odd: Any) -> None:
    for write in (cache.set, cache.add):
        with pytest.raises(Misuse, match="timeout cannot be"):
            write("k", 1, timeout=odd)
    with pytest.raises(Misuse, match="timeout cannot be"):
        cache.touch("k", timeout=odd)


def test_who_writes_to_redis_runs_no_code_here(cache: HustlexCache, raw: redis.Redis, tmp_path: Path) -> None:
    class Poison:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "ran"),)

    for evil in (pickle.dumps(Poison()), bytes(16) + pickle.dumps({"a": 1}), b"", b"-", b"x"):
        raw.set("django:shop:1:k", evil)
        assert cache.get("k", "absent") == "absent"
    assert list(tmp_path.iterdir()) == []


class Moved:
    """Stands for a class that a deploy moves elsewhere."""


def test_what_this_code_cannot_unpickle_is_missed(
    cache: HustlexCache, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cache.set_many({"old": Moved(), "fine": 7})
    assert isinstance(cache.get("old"), Moved)
    monkeypatch.delattr(f"{__name__}.Moved")
    assert cache.get_many(["old", "fine"]) == {"fine": 7}
    assert (cache.get("old", "none"), cache.has_key("old"), cache.get_or_set("old", "new")) == ("none", False, "new")
    assert "AttributeError" in caplog.text
    cache.set("old", "new")
    assert cache.get("old") == "new"


def test_reads_miss_and_writes_say_so_while_the_server_is_away(unused_tcp_port: int) -> None:
    cache = HustlexCache(f"redis://127.0.0.1:{unused_tcp_port}", {})
    assert cache.get("k", "absent") == "absent"
    assert cache.get_many(["k"]) == {}
    for write in (lambda: cache.set("k", 1), lambda: cache.delete("k"), lambda: cache.incr("k")):
        with pytest.raises(Unavailable):
            write()


def test_reads_miss_while_the_server_serves_nobody(cache: HustlexCache, raw: redis.Redis) -> None:
    """A key of another type is refused as one refuses everything that is full, being filled, or a replica."""
    raw.rpush("django:shop:1:k", 1)
    cache.set("other", 1)
    assert cache.get("k", "absent") == "absent"
    assert cache.get_many(["k", "other"]) == {"other": 1}
    with pytest.raises(ValueError, match="no whole number"):
        cache.incr("k")


@pytest.mark.usefixtures("site")
def test_a_session_that_somebody_wrote_over_is_empty(raw: redis.Redis) -> None:
    session = SessionStore()
    session["user"] = 7
    session.create()
    for rubbish in (b"\xff\xfe", b"", b"a:b:c"):
        raw.set(raw.keys()[0], rubbish)
        assert SessionStore(session.session_key).load() == {}


@pytest.mark.usefixtures("site")
def test_a_session_lives_until_it_ends_and_never_again(raw: redis.Redis) -> None:
    session = SessionStore()
    session["user"] = 7
    session.set_expiry(60)
    session.create()
    session["user"] = 8
    session.save()
    key = session.session_key
    running = SessionStore(key)
    assert running["user"] == 8
    assert session.exists(key)
    assert [0 < raw.pttl(name) <= 60_000 for name in raw.scan_iter()] == [True]
    assert key.encode() not in raw.keys()[0]
    session.flush()
    running["user"] = 9
    with pytest.raises(UpdateError):
        running.save()
    assert SessionStore(key).load() == {}
    assert raw.keys() == []


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize("made", [False, True])
def test_a_session_that_ended_in_the_past_is_gone(raw: redis.Redis, made: bool) -> None:
    session = SessionStore()
    session["user"] = 7
    if made:
        session.save()
    session.set_expiry(-1)
    session.save()
    assert SessionStore(session.session_key).load() == {}
    assert not raw.keys("django-session:*")


@pytest.mark.usefixtures("site")
def test_a_taken_key_is_never_overwritten() -> None:
    first = SessionStore()
    first.create()
    thief = SessionStore(first.session_key)
    with pytest.raises(CreateError):
        thief.save(must_create=True)


def test_settings_that_are_missing_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(settings, "HUSTLEX_URL", raising=False)
    with pytest.raises(ConfigurationError, match="HUSTLEX_URL"):
        front()
    with pytest.raises(Misuse):
        rate_limit(None)  # type: ignore[arg-type]


class Template:
    def render(self, *_: Any) -> str:
        return "abc"


def cookies(_: HttpRequest) -> HttpResponse:
    answer = HttpResponse(b"abc")
    answer.set_cookie("a", "1")
    answer.set_cookie("b", "2")
    return answer


ANSWERS: dict[str, Any] = {
    "a file": lambda _: FileResponse(BytesIO(b"abc")),
    "a stream": lambda _: StreamingHttpResponse([b"a", b"bc"]),
    "a template": lambda _: SimpleTemplateResponse(Template()),
    "cookies": cookies,
}


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize("view", ANSWERS.values(), ids=ANSWERS)
def test_every_kind_of_answer_is_kept_and_repeated(view: Any) -> None:
    headers = {"Authorization": f"Bearer {front().tokens.login('u1').access}", "Idempotency-Key": "k1"}
    served = login_required(idempotent(view))
    first, again = (served(RequestFactory().post("/pay", headers=headers)) for _ in range(2))
    assert (first.status_code, first.content, again.status_code, again.content) == (200, b"abc", 200, b"abc")
    assert list(first.cookies) == (["a", "b"] if view is cookies else [])
    assert not again.cookies


REFUSALS = [(BadRequest, 400), (Http404, 404), (PermissionDenied, 403), (DisallowedHost, 400), (TooManyFilesSent, 400)]


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize(("kind", "status"), REFUSALS)
def test_exceptions_that_are_answers_are_kept(kind: Any, status: int, caplog: pytest.LogCaptureFixture) -> None:
    calls: list[int] = []

    def view(_: HttpRequest) -> HttpResponse:
        calls.append(1)
        raise kind("no")

    headers = {"Authorization": f"Bearer {front().tokens.login('u1').access}", "Idempotency-Key": "k1"}
    served = login_required(idempotent(view))
    assert [served(RequestFactory().post("/pay", headers=headers)).status_code for _ in range(2)] == [status] * 2
    assert calls == [1] * (2 if status == 403 else 1), "who may not today may tomorrow"
    told = [each.name for each in caplog.records if each.name.startswith("django.security")]
    assert told == ([f"django.security.{kind.__name__}"] if issubclass(kind, SuspiciousOperation) else [])


@pytest.mark.parametrize("decorate", [login_required, idempotent, rate_limit("5/minute per ip"), idempotent()])
def test_an_async_view_is_refused_while_decorating(decorate: Any) -> None:
    async def view(_: HttpRequest) -> HttpResponse:
        return HttpResponse()

    with pytest.raises(Misuse, match="async function"):
        decorate(view)
