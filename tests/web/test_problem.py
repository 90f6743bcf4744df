"""Every error leaves as an RFC 9457 problem, and says nothing that a client should not read."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI, HTTPException
from pydantic import BaseModel

from hustlex import errors
from hustlex.web import Problem


class Login(BaseModel):
    phone: str
    code: int


def raising(error: Exception) -> Any:
    async def route() -> None:
        raise error

    return route


async def answer(app: FastAPI, serve: Any, error: Exception) -> httpx.Response:
    app.add_api_route("/", raising(error))
    async with serve(app) as client:
        got: httpx.Response = await client.get("/")
    assert got.headers["content-type"] == "application/problem+json"
    assert got.json()["status"] == got.status_code
    return got


@pytest.mark.parametrize(
    ("error", "status", "retry"),
    [
        (errors.Unavailable("no link to 10.0.0.7", op="otp.verify", hint="secret"), 503, "5"),
        (errors.Timeout("secret"), 503, "5"),
        (errors.Overloaded("secret"), 503, "5"),
        (errors.OutcomeUnknown("secret"), 503, "5"),
        (errors.Refused("secret", server_code="LOADING"), 503, "5"),
        (errors.Full("secret", server_code="OOM"), 503, "5"),
        (errors.ConfigurationError("secret"), 500, None),
        (errors.BadReply("secret"), 500, None),
        (RuntimeError("secret"), 500, None),
    ],
)
async def test_a_broken_world_is_told_without_its_inside(
    app: FastAPI, serve: Any, error: Exception, status: int, retry: str | None
) -> None:
    got = await answer(app, serve, error)
    assert (got.status_code, got.headers.get("retry-after")) == (status, retry)
    assert "secret" not in got.text
    assert "10.0.0.7" not in got.text


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.Misuse("cost must be at least 1", op="ratelimit.check", hint="inside"), 422),
        (errors.NotFound("no such queue"), 404),
        (errors.Conflict("the task is running"), 409),
    ],
)
async def test_what_the_caller_can_mend_is_explained(app: FastAPI, serve: Any, error: Any, status: int) -> None:
    got = await answer(app, serve, error)
    assert got.status_code == status
    assert got.json()["detail"] == error.message
    assert "inside" not in got.text


async def test_http_exceptions_keep_their_status_text_and_headers(app: FastAPI, serve: Any) -> None:
    got = await answer(app, serve, HTTPException(409, "taken", {"X-By": "ada"}))
    assert got.json() == {"type": "about:blank", "title": "Conflict", "status": 409, "detail": "taken"}
    assert got.headers["x-by"] == "ada"


async def test_a_status_without_a_name_is_still_a_problem(app: FastAPI, serve: Any) -> None:
    assert (await answer(app, serve, HTTPException(499, "gone"))).json()["title"] == "Error"


async def test_a_structured_detail_becomes_members_and_cannot_fake_the_head(app: FastAPI, serve: Any) -> None:
    got = await answer(app, serve, HTTPException(402, {"missing": 5, "status": 200}))
    assert got.json() == {"type": "about:blank", "title": "Payment Required", "status": 402, "missing": 5}


async def test_a_problem_of_ones_own(app: FastAPI, serve: Any) -> None:
    problem = Problem(409, kind="https://gigs.test/taken", title="Taken", detail="Ada has it.", members={"by": "ada"})
    assert (await answer(app, serve, problem)).json() == {
        "type": "https://gigs.test/taken",
        "title": "Taken",
        "status": 409,
        "detail": "Ada has it.",
        "by": "ada",
    }


async def test_unknown_paths_and_methods(app: FastAPI, serve: Any) -> None:
    app.add_api_route("/only-post", raising(RuntimeError()), methods=["POST"])
    async with serve(app) as client:
        missing, wrong = await client.get("/nowhere"), await client.get("/only-post")
    for got, status in ((missing, 404), (wrong, 405)):
        assert (got.status_code, got.headers["content-type"]) == (status, "application/problem+json")
    assert missing.json() == {"type": "about:blank", "title": "Not Found", "status": 404}
    assert wrong.headers["allow"] == "POST"


async def test_statuses_without_a_body_have_none(app: FastAPI, serve: Any) -> None:
    app.add_api_route("/", raising(HTTPException(304)))
    async with serve(app) as client:
        got = await client.get("/")
    assert (got.status_code, got.content) == (304, b"")


async def test_validation_names_the_place_and_never_echoes_the_value(app: FastAPI, serve: Any) -> None:
    async def route(body: Login, page: int = 1) -> None:
        raise AssertionError("not reached")

    app.add_api_route("/", route, methods=["POST"])
    async with serve(app) as client:
        got = await client.post("/?page=x77", json={"phone": 8031234567, "code": "s3cret"})
        broken = await client.post("/", content=b'{"phone": "0803', headers={"content-type": "application/json"})
    assert (got.status_code, got.headers["content-type"]) == (422, "application/problem+json")
    assert {(fault["in"], fault["name"]) for fault in got.json()["errors"]} == {
        ("query", "page"),
        ("body", "phone"),
        ("body", "code"),
    }
    for leaked in ("s3cret", "8031234567", "x77"):
        assert leaked not in got.text
    assert broken.status_code == 422
    assert "0803" not in broken.text


async def test_the_openapi_document_promises_problems(app: FastAPI) -> None:
    router = APIRouter()
    router.add_api_route("/", raising(RuntimeError()), methods=["POST"])
    app.include_router(router, prefix="/inner")
    app.add_api_route("/", raising(RuntimeError()), methods=["POST"])
    for path in ("/", "/inner/"):
        responses = app.openapi()["paths"][path]["post"]["responses"]
        assert set(responses["422"]["content"]) == set(responses["default"]["content"]) == {"application/problem+json"}
