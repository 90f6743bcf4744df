"""The Flask door: what its decorators answer, and what they refuse when they are put together wrongly."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from io import BytesIO
from typing import Any

import pytest
from flask import Flask, abort, send_file
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client

from hustlex.errors import ConfigurationError, Misuse
from hustlex.flask import current_user, idempotent, init_app, login_required, rate_limit
from hustlex.ratelimit import Policy
from hustlex.sync import HustleX
from tests.conftest import PATIENCE, SECRET, unhurried


@pytest.fixture
def hx(url: str) -> Iterator[HustleX]:
    with HustleX(url, timeout=PATIENCE, secret=SECRET, ratelimit=unhurried()) as front:
        yield front


@pytest.fixture
def app(hx: HustleX) -> Flask:
    app = Flask(__name__)
    app.testing = True
    init_app(app, hx)
    return app


def bearer(hx: HustleX, user: str = "u1") -> dict[str, str]:
    return {"Authorization": f"Bearer {hx.tokens.login(user).access}"}


def test_a_logout_counts_at_once_and_the_challenge_is_said(app: Flask, hx: HustleX) -> None:
    app.get("/me")(login_required(lambda: current_user().user_id))
    headers = bearer(hx)
    assert app.test_client().get("/me", headers=headers).text == "u1"
    hx.tokens.logout(headers["Authorization"].partition(" ")[2])
    for odd in (headers, {}, {"Authorization": "Basic dTpw"}, {"Authorization": "Bearer "}):
        refused = app.test_client().get("/me", headers=odd)
        assert refused.status_code == 401
        assert refused.headers["WWW-Authenticate"] == "Bearer"
        assert refused.content_type == "application/problem+json"


def test_a_view_without_login_is_told_what_it_lacks(app: Flask) -> None:
    with app.test_request_context("/me"), pytest.raises(ConfigurationError, match="put @login_required above the view"):
        current_user()


def test_an_answer_tells_what_is_left_and_a_refusal_when_to_come_back(app: Flask) -> None:
    app.get("/gigs")(rate_limit("2/minute per ip")(lambda: "ok"))
    client = app.test_client()
    first, _, third = (client.get("/gigs") for _ in range(3))
    assert first.headers["RateLimit"].startswith('"2-per-min-ip";r=1')
    assert third.status_code == 429
    assert 0 < int(third.headers["Retry-After"]) <= 75
    assert third.json["violated-policies"] == ["2-per-min-ip"]


def test_methods_of_one_route_are_counted_apart_and_a_head_is_a_get(app: Flask) -> None:
    app.get("/gigs")(rate_limit("1/minute per ip")(lambda: "ok"))
    app.add_url_rule("/gigs", "post", rate_limit("3/minute per ip")(lambda: "made"), methods=["POST"])
    client = app.test_client()
    assert [client.head("/gigs").status_code, client.get("/gigs").status_code] == [200, 429]
    assert [client.post("/gigs").status_code for _ in range(4)] == [200, 200, 200, 429]


def test_three_at_once_gives_each_place_back(app: Flask) -> None:
    app.get("/export")(rate_limit("1 at once per ip")(lambda: "ok"))
    client = app.test_client()
    assert [client.get("/export").status_code for _ in range(3)] == [200] * 3


def test_a_key_of_ones_own_says_who_is_limited(app: Flask) -> None:
    callers = iter(["a", "b", "a", 7, "7"])
    policy = Policy("keys", 1, timedelta(minutes=1))
    app.get("/k")(rate_limit(policy, key=lambda: next(callers))(lambda: "ok"))
    client = app.test_client()
    assert [client.get("/k").status_code for _ in range(5)] == [200, 200, 429, 200, 429]


def test_a_conflict_is_an_answer_that_is_kept(app: Flask, hx: HustleX) -> None:
    calls: list[int] = []

    @app.post("/take")
    @login_required
    @idempotent
    def take() -> Any:
        calls.append(1)
        abort(409)

    headers = bearer(hx) | {"Idempotency-Key": "k1"}
    assert [app.test_client().post("/take", headers=headers).status_code for _ in range(2)] == [409, 409]
    assert calls == [1]


def test_a_header_that_comes_twice_is_repeated_twice(app: Flask, hx: HustleX) -> None:
    @app.post("/take")
    @login_required
    @idempotent
    def take() -> Any:
        return "ok", [("Link", "</a>"), ("Link", "</b>")]

    headers = bearer(hx) | {"Idempotency-Key": "k1"}
    first, again = (app.test_client().post("/take", headers=headers) for _ in range(2))
    assert first.headers.getlist("Link") == again.headers.getlist("Link") == ["</a>", "</b>"]


def test_decorators_in_the_wrong_order_say_so(app: Flask) -> None:
    app.get("/a")(rate_limit("1/minute per user")(lambda: "ok"))
    app.get("/b", endpoint="b")(idempotent(lambda: "ok"))
    app.logger.disabled = True
    for path in ("/a", "/b"):
        answer = app.test_client().get(path)
        assert answer.status_code == 500
    within = rate_limit("5/minute per ip")(lambda: "ok")
    for between in (lambda view: view, rate_limit("9/minute global"), idempotent, login_required):
        with pytest.raises(Misuse, match="has a limit for the same callers already"):
            rate_limit("1/second per ip")(between(within))


def test_limits_whose_keys_turn_out_to_be_one_count_once_each(app: Flask) -> None:
    inner, outer = (rate_limit(f"{most}/hour per key", key=lambda: "k") for most in (4, 4))
    app.get("/k")(outer(inner(lambda: "ok")))
    assert [app.test_client().get("/k").status_code for _ in range(5)] == [200] * 4 + [429]


@pytest.mark.parametrize("decorate", [login_required, idempotent, rate_limit("5/minute per ip"), login_required()])
def test_an_async_view_is_refused_while_decorating(decorate: Any) -> None:
    async def view() -> str:
        return "ok"

    with pytest.raises(Misuse, match="async function"):
        decorate(view)


def test_applications_that_are_mounted_count_and_remember_apart(app: Flask, hx: HustleX) -> None:
    def shop(name: str) -> Flask:
        made = Flask(name)
        init_app(made, hx)
        made.get("/gigs")(rate_limit("1/hour per ip")(lambda: name))
        made.post("/pay", endpoint="pay")(login_required(idempotent(lambda: name)))
        return made

    client = Client(DispatcherMiddleware(app, {"/a": shop("a"), "/b": shop("b")}))
    assert [client.get(f"/{name}/gigs").text for name in "ab"] == ["a", "b"]
    headers = bearer(hx) | {"Idempotency-Key": "k1"}
    assert [client.post(f"/{name}/pay", headers=headers).text for name in "abab"] == ["a", "b", "a", "b"]


def test_a_question_mark_within_a_path_begins_no_query(app: Flask, hx: HustleX) -> None:
    app.post("/pay/<to>")(login_required(idempotent(lambda to: to)))
    headers = bearer(hx) | {"Idempotency-Key": "k1"}
    paths = ["/pay/7%3Fx=1", "/pay/7?x=1", "/pay/%37%3fx=1"]
    assert [app.test_client().post(path, headers=headers).status_code for path in paths] == [200, 422, 200]


def test_a_file_is_an_answer_that_is_kept(app: Flask, hx: HustleX) -> None:
    app.post("/file")(login_required(idempotent(lambda: send_file(BytesIO(b"abc"), "text/plain"))))
    headers = bearer(hx) | {"Idempotency-Key": "k1"}
    answers = [app.test_client().post("/file", headers=headers) for _ in range(2)]
    assert [(answer.status_code, answer.data) for answer in answers] == [(200, b"abc")] * 2


@pytest.mark.parametrize("odd", [None, 5, b"x", [], "nonsense", {}])
def test_what_is_no_limit_is_refused_while_decorating(odd: Any) -> None:
    with pytest.raises(Misuse):
        rate_limit(odd)


def test_an_app_without_a_front_says_what_to_call() -> None:
    bare = Flask(__name__)
    bare.testing = True
    bare.get("/")(rate_limit("1/minute per ip")(lambda: "ok"))
    with pytest.raises(ConfigurationError, match="init_app"):
        bare.test_client().get("/")
    with pytest.raises(Misuse, match="hx cannot be"):
        init_app(bare, None)  # type: ignore[arg-type]
