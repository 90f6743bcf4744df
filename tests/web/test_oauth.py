"""Introspection, revocation and keys for other services; devices, cookies and proofs over HTTP."""

from __future__ import annotations

from base64 import b64encode
from datetime import timedelta
from typing import Annotated, Any

import httpx
import jwt
import pytest
import redis
from fastapi import Depends, FastAPI, WebSocket

from hustlex.app import HustleX
from hustlex.core.time import FixedClock
from hustlex.errors import ConfigurationError
from hustlex.otp import Delivery
from hustlex.tokens import Access, TokenPair
from hustlex.web import (
    CurrentUser,
    Idempotent,
    RateLimit,
    StrictUser,
    auth_router,
    checked,
    oauth_router,
    sessions_router,
)
from tests.support.dpop import Holder

BASE = "http://hustlex.test"
SECRET = "s3cret:with a colon+plus%"
CLIENTS = {"gateway": SECRET, "app": "another secret of the app"}
INACTIVE = {"active": False}


class Sender:
    def __init__(self) -> None:
        self.sent: list[str] = []

    async def send(self, challenge: str) -> None:
        self.sent.append(challenge)


async def identify(phone: str) -> str:
    return f"user-{phone[-4:]}"


async def me(user: CurrentUser) -> dict[str, Any]:
    return {"id": user.user_id, "mode": user.mode}


async def pay(user: StrictUser) -> dict[str, Any]:
    return {"id": user.user_id, "mode": user.mode}


async def look(user: Annotated[Access, Depends(checked("stateless"))]) -> dict[str, Any]:
    return {"id": user.user_id, "mode": user.mode}


@pytest.fixture
async def client(app: FastAPI, serve: Any) -> Any:
    sender = Sender()
    app.state.sender = sender
    app.include_router(oauth_router(clients=CLIENTS))
    app.include_router(sessions_router())
    app.include_router(auth_router(send=sender.send, identify=identify))
    app.include_router(
        auth_router(send=sender.send, identify=identify, refresh_cookie="__Host-refresh", prefix="/browser")
    )
    for path, route in (("/me", me), ("/pay", pay), ("/look", look)):
        app.add_api_route(path, route, methods=["GET", "POST"])
    async with serve(app) as client:
        yield client


@pytest.fixture
def hx(client: httpx.AsyncClient, app: FastAPI) -> HustleX:
    front: HustleX = app.state.hustlex
    return front


async def login(hx: HustleX, user: str = "u1", **options: Any) -> TokenPair:
    pair = await hx.tokens.login(user, **options)
    assert isinstance(pair, TokenPair)
    return pair


def basic(name: str = "gateway", secret: str = "s3cret%3Awith+a+colon%2Bplus%25") -> dict[str, str]:
    return {"Authorization": f"Basic {b64encode(f'{name}:{secret}'.encode()).decode()}"}


def bearer(token: str, scheme: str = "Bearer") -> dict[str, str]:
    return {"Authorization": f"{scheme} {token}"}


async def introspect(client: httpx.AsyncClient, token: str, **options: Any) -> httpx.Response:
    return await client.post("/oauth/introspect", data={"token": token}, headers=options.get("headers", basic()))


# -- introspection


async def test_a_good_token_is_active_and_says_what_it_says(client: httpx.AsyncClient, hx: HustleX) -> None:
    pair = await login(hx, client_id="web", scope="read pay", acr="aal2")
    got = await introspect(client, pair.access)
    assert (got.status_code, got.headers["cache-control"]) == (200, "no-store")
    claims = jwt.decode(pair.access, options={"verify_signature": False})
    assert got.json() == {
        "active": True, "client_id": "web", "sub": "u1", "sid": pair.session_id, "jti": claims["jti"],
        "iat": claims["iat"], "exp": claims["exp"], "token_type": "Bearer", "scope": "read pay", "acr": "aal2",
    }  # fmt: skip


async def test_whatever_is_wrong_with_a_token_it_is_not_active_and_no_more(
    client: httpx.AsyncClient, hx: HustleX, clock: FixedClock
) -> None:
    out, old = await login(hx), await login(hx)
    await hx.tokens.logout(out.access)
    for token in (out.access, out.refresh, "", "x.y.z", "\x00", "e" * 9000):
        got = await introspect(client, token)
        assert (got.status_code, got.json()) == (200, INACTIVE)
    clock.advance(timedelta(minutes=16))
    assert (await introspect(client, old.access)).json() == INACTIVE


async def test_a_bound_token_tells_its_key(client: httpx.AsyncClient, hx: HustleX) -> None:
    holder = Holder()
    body = (await introspect(client, (await login(hx, jkt=holder.jkt)).access)).json()
    assert (body["active"], body["cnf"], body["token_type"]) == (True, {"jkt": holder.jkt}, "DPoP")


@pytest.mark.parametrize(
    "headers",
    [{}, basic("gateway", "wrong"), basic("nobody", ""), basic("", ""), {"Authorization": "Basic !"}, bearer("x"),
     {"Authorization": f"Basic {b64encode(bytes([255, 254])).decode()}"}],
)  # fmt: skip
async def test_who_is_no_client_learns_nothing(client: httpx.AsyncClient, hx: HustleX, headers: dict[str, str]) -> None:
    pair = await login(hx)
    for path in ("introspect", "revoke"):
        got = await client.post(f"/oauth/{path}", data={"token": pair.access}, headers=headers)
        assert (got.status_code, got.json()) == (401, {"error": "invalid_client"})
        assert got.headers["www-authenticate"] == 'Basic realm="oauth"'


async def test_a_client_may_authenticate_in_the_form(client: httpx.AsyncClient, hx: HustleX) -> None:
    pair = await login(hx)
    form = {"token": pair.access, "client_id": "gateway", "client_secret": SECRET, "token_type_hint": "refresh_token"}
    assert (await client.post("/oauth/introspect", data=form)).json()["active"] is True
    got = await client.post("/oauth/introspect", data=form | {"client_secret": "wrong"})
    assert got.status_code == 401


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"", "application/x-www-form-urlencoded", 400),
        (b"hint=x", "application/x-www-form-urlencoded", 400),
        (b"token=a&token=b", "application/x-www-form-urlencoded", 400),
        (b"token=\xff\xff&&&", "application/x-www-form-urlencoded", 400),
        (b"token=" + b"x" * 20_000, "application/x-www-form-urlencoded", 413),
        (b'{"token": "a"}', "application/json", 400),
    ],
)
async def test_a_bad_form_is_an_invalid_request(
    client: httpx.AsyncClient, content: bytes, kind: str, status: int
) -> None:
    for path in ("introspect", "revoke"):
        got = await client.post(f"/oauth/{path}", content=content, headers=basic() | {"Content-Type": kind})
        assert (got.status_code, got.json()) == (status, {"error": "invalid_request"})


def test_a_clients_secret_is_long() -> None:
    with pytest.raises(ConfigurationError, match="16"):
        oauth_router(clients={"gateway": "short"})


GUESSED = ["changeme-changeme-1", "0123456789abcdef", " " * 20, "password12345678", "abcabcabcabcabcabc", "0" * 64]


@pytest.mark.parametrize("secret", GUESSED)
def test_a_clients_secret_that_anybody_would_guess_is_refused(secret: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        oauth_router(clients={"gateway": secret})
    assert secret not in str(refused.value)


# -- revocation


async def test_revoking_a_refresh_token_ends_its_access_tokens_too(client: httpx.AsyncClient, hx: HustleX) -> None:
    pair = await login(hx)
    headers = basic("app", "another+secret+of+the+app")
    for _ in range(2):
        got = await client.post("/oauth/revoke", data={"token": pair.refresh}, headers=headers)
        assert (got.status_code, got.content, got.headers["cache-control"]) == (200, b"", "no-store")
    assert (await introspect(client, pair.access)).json() == INACTIVE
    assert (await client.post("/auth/refresh", json={"refresh_token": pair.refresh})).status_code == 400


async def test_revoking_an_access_token_leaves_its_session(client: httpx.AsyncClient, hx: HustleX) -> None:
    pair = await login(hx)
    headers = basic("app", "another+secret+of+the+app")
    hint = {"token_type_hint": "refresh_token"}
    assert (await client.post("/oauth/revoke", data={"token": pair.access} | hint, headers=headers)).status_code == 200
    assert (await introspect(client, pair.access)).json() == INACTIVE
    assert (await client.post("/auth/refresh", json={"refresh_token": pair.refresh})).status_code == 200


async def test_another_clients_token_is_not_revoked_and_an_unknown_one_is_fine(
    client: httpx.AsyncClient, hx: HustleX
) -> None:
    pair = await login(hx)
    for token in (pair.access, pair.refresh):
        got = await client.post("/oauth/revoke", data={"token": token}, headers=basic())
        assert (got.status_code, got.json()) == (400, {"error": "unauthorized_client"})
    assert (await introspect(client, pair.access)).json()["active"] is True
    assert (await client.post("/oauth/revoke", data={"token": "unknown"}, headers=basic())).status_code == 200


async def test_without_a_server_both_answer_503(app_on: Any, serve: Any, hx: HustleX, clock: FixedClock) -> None:
    pair = await login(hx, client_id="gateway")
    app = app_on("redis://127.0.0.1:1", clock)
    app.include_router(oauth_router(clients=CLIENTS))
    async with serve(app) as stranded:
        for path in ("introspect", "revoke"):
            got = await stranded.post(f"/oauth/{path}", data={"token": pair.access}, headers=basic())
            assert (got.status_code, got.headers["retry-after"]) == (503, "5")


async def test_the_keys_verify_and_may_be_kept_for_five_minutes(client: httpx.AsyncClient, hx: HustleX) -> None:
    pair = await login(hx)
    got = await client.get("/oauth/jwks.json")
    assert got.headers["cache-control"] == "public, max-age=300"
    keys = jwt.PyJWKSet.from_dict(got.json())
    claims = jwt.decode(
        pair.access, keys[jwt.get_unverified_header(pair.access)["kid"]].key, ["ES256"], audience="hustlex",
        options={"verify_exp": False, "verify_iat": False},
    )  # fmt: skip
    assert claims["sub"] == "u1"


# -- users


async def test_routes_choose_how_sure_they_are(client: httpx.AsyncClient, hx: HustleX) -> None:
    pair = await login(hx)
    assert await hx.tokens.start()
    modes = [(await client.get(path, headers=bearer(pair.access))).json()["mode"] for path in ("/me", "/pay", "/look")]
    assert modes == ["bounded", "strict", "stateless"]


async def live(socket: WebSocket, user: CurrentUser) -> None:
    await socket.accept()
    await socket.send_text(user.user_id)


async def test_a_websocket_has_a_user_too_or_is_refused_before_it_opens(
    client: httpx.AsyncClient, app: FastAPI, hx: HustleX
) -> None:
    app.add_api_websocket_route("/live", live)
    pair = await login(hx)

    async def connect(headers: dict[str, str]) -> list[dict[str, Any]]:
        sent: list[dict[str, Any]] = []
        raw_headers = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        scope = {
            "type": "websocket", "path": "/live", "raw_path": b"/live", "query_string": b"", "root_path": "",
            "scheme": "ws", "headers": raw_headers, "client": ("203.0.113.7", 1), "server": ("hustlex.test", 80),
            "subprotocols": [], "extensions": {"websocket.http.response": {}}, "app": app, "state": {},
        }  # fmt: skip

        async def receive() -> dict[str, Any]:
            return {"type": "websocket.connect"}

        async def send(message: Any) -> None:
            sent.append(message)

        await app(scope, receive, send)
        return sent

    for headers in ({}, bearer("x.y.z")):
        first = (await connect(headers))[0]
        assert (first["type"], first["status"]) == ("websocket.http.response.start", 401)
    opened, said, *_ = await connect(bearer(pair.access))
    assert (opened["type"], said["text"]) == ("websocket.accept", "u1")


async def test_devices_are_listed_and_ended(client: httpx.AsyncClient, hx: HustleX, clock: FixedClock) -> None:
    mine = await login(hx, device="Pixel 9", platform="android", ip="102.89.23.77")
    clock.advance(timedelta(seconds=1))
    others = [await login(hx, device=f"Other {n}", ip="2001:db8:1:2::3") for n in range(3)]
    headers = bearer(mine.access)
    got = await client.get("/auth/sessions", headers=headers)
    assert (got.status_code, got.headers["cache-control"]) == (200, "no-store")
    listed = {entry["device"]: entry for entry in got.json()}
    assert len(listed) == 4
    own = listed["Pixel 9"]
    assert (own["id"], own["current"], own["platform"], own["network"]) == (
        mine.session_id, True, "android", "102.89.23.0/24",
    )  # fmt: skip
    assert listed["Other 0"]["network"] == "2001:db8:1::/48" and not listed["Other 0"]["current"]
    assert mine.refresh.split(".")[5] not in got.text

    assert (await client.delete(f"/auth/sessions/{others[0].session_id}", headers=headers)).status_code == 204
    assert (await client.delete(f"/auth/sessions/{others[0].session_id}", headers=headers)).status_code == 404
    assert (await client.delete("/auth/sessions/x", headers=headers)).status_code == 404
    foreign = await login(hx, "u2")
    assert (await client.delete(f"/auth/sessions/{foreign.session_id}", headers=headers)).status_code == 404
    assert (await client.post("/auth/sessions/revoke-others", headers=headers)).json() == {"ended": 2}
    assert len((await client.get("/auth/sessions", headers=headers)).json()) == 1
    assert (await client.post("/auth/sessions/revoke-all", headers=headers)).json() == {"ended": 1}
    assert (await client.get("/auth/sessions", headers=headers)).status_code == 401
    assert (await client.get("/pay", headers=bearer(foreign.access))).status_code == 200


async def test_ending_devices_wants_a_recent_login(client: httpx.AsyncClient, hx: HustleX, clock: FixedClock) -> None:
    pair = await login(hx)
    clock.advance(timedelta(minutes=15, seconds=1))
    renewed = (await client.post("/auth/refresh", json={"refresh_token": pair.refresh})).json()
    headers = bearer(renewed["access_token"])
    assert (await client.get("/auth/sessions", headers=headers)).status_code == 200
    for call in (
        client.delete(f"/auth/sessions/{pair.session_id}", headers=headers),
        client.post("/auth/sessions/revoke-others", headers=headers),
        client.post("/auth/sessions/revoke-all", headers=headers),
    ):
        got = await call
        assert got.status_code == 401
        assert got.headers["www-authenticate"] == 'Bearer error="insufficient_user_authentication", max_age="900"'


# -- cookies


async def code_login(client: httpx.AsyncClient, hx: HustleX, prefix: str, **headers: str) -> httpx.Response:
    asked = await client.post(f"{prefix}/otp/request", json={"phone": "0803 123 4567"})
    delivery = await hx.otp.open(asked.json()["challenge"])
    assert isinstance(delivery, Delivery)
    body = {"challenge": asked.json()["challenge"], "code": delivery.code}
    return await client.post(f"{prefix}/otp/verify", json=body, headers=headers)


def cookie(got: httpx.Response) -> str:
    value = got.headers["set-cookie"]
    for part in ("HttpOnly", "Secure", "SameSite=strict", "Path=/"):
        assert part in value
    assert "Domain" not in value
    name, _, rest = value.partition("=")
    assert name == "__Host-refresh"
    return rest.partition(";")[0].strip('"')


async def test_a_browsers_refresh_token_travels_as_a_cookie_only(
    client: httpx.AsyncClient, hx: HustleX, clock: FixedClock
) -> None:
    got = await code_login(client, hx, "/browser")
    first = cookie(got)
    assert "refresh_token" not in got.json() and first not in got.text
    assert "Max-Age=604800" in got.headers["set-cookie"]
    got = await client.post("/browser/refresh", headers={"Cookie": f"__Host-refresh={first}"})
    second = cookie(got)
    assert (got.status_code, second != first, "refresh_token" in got.json()) == (200, True, False)

    clock.advance(timedelta(minutes=2))
    stolen = await client.post("/browser/refresh", headers={"Cookie": f"__Host-refresh={first}"})
    assert stolen.status_code == 400 and cookie(stolen) == ""
    got = await client.post("/browser/refresh", headers={"Cookie": f"__Host-refresh={second}"})
    assert got.status_code == 400 and cookie(got) == "" and "Max-Age=0" in got.headers["set-cookie"]


async def test_a_cookie_is_not_cleared_by_what_another_tab_may_outdo(
    client: httpx.AsyncClient, hx: HustleX, app_on: Any, serve: Any, clock: FixedClock
) -> None:
    for headers in ({"Cookie": "__Host-refresh=nonsense"}, {}):
        got = await client.post("/browser/refresh", headers=headers)
        assert (got.status_code, got.json()["error"]) == (400, "invalid_grant")
        assert "set-cookie" not in got.headers
    first = cookie(await code_login(client, hx, "/browser"))
    app = app_on("redis://127.0.0.1:1", clock)
    app.include_router(
        auth_router(send=Sender().send, identify=identify, refresh_cookie="__Host-refresh", prefix="/browser")
    )
    async with serve(app) as stranded:
        for path in ("refresh", "logout"):
            got = await stranded.post(f"/browser/{path}", headers={"Cookie": f"__Host-refresh={first}"})
            assert got.status_code == 503 and "set-cookie" not in got.headers


async def test_logging_out_clears_the_cookie(client: httpx.AsyncClient, hx: HustleX) -> None:
    first = cookie(await code_login(client, hx, "/browser"))
    got = await client.post("/browser/logout", headers={"Cookie": f"__Host-refresh={first}"})
    assert got.status_code == 204 and cookie(got) == ""


def test_a_cookie_without_the_prefix_is_refused() -> None:
    for name in ("refresh", "__Host-", "__Secure-refresh"):
        with pytest.raises(ConfigurationError, match="__Host-"):
            auth_router(send=Sender().send, identify=identify, refresh_cookie=name)


# -- proofs


async def test_a_proof_at_a_refresh_does_not_turn_a_bearer_token_into_another(
    client: httpx.AsyncClient, hx: HustleX, clock: FixedClock
) -> None:
    got = await code_login(client, hx, "/auth")
    headers = {"DPoP": Holder().proof("POST", f"{BASE}/auth/refresh", clock.now_ms // 1000)}
    body = {"refresh_token": got.json()["refresh_token"]}
    refreshed = (await client.post("/auth/refresh", json=body, headers=headers)).json()
    assert refreshed["token_type"] == "Bearer"
    assert (await client.get("/me", headers=bearer(refreshed["access_token"]))).status_code == 200


async def test_a_login_with_a_proof_is_bound_and_used_with_proofs(
    client: httpx.AsyncClient, hx: HustleX, clock: FixedClock
) -> None:
    holder, thief, now = Holder(), Holder(), clock.now_ms // 1000
    got = await code_login(client, hx, "/auth", DPoP=holder.proof("POST", f"{BASE}/auth/otp/verify", now))
    assert (got.status_code, got.json()["token_type"]) == (200, "DPoP")
    access, refresh = got.json()["access_token"], got.json()["refresh_token"]

    def shown(by: Holder, scheme: str = "DPoP", url: str = f"{BASE}/me", token: str = access) -> dict[str, str]:
        return bearer(access, scheme) | {"DPoP": by.proof("GET", url, now, token)}

    assert (await client.get("/me?x=1", headers=shown(holder))).status_code == 200
    once = shown(holder)
    assert [(await client.get("/me", headers=once)).status_code for _ in range(2)] == [200, 401]
    for headers, error in (
        (bearer(access), 'Bearer error="invalid_token"'),
        (bearer(access, "DPoP"), 'DPoP error="invalid_dpop_proof", algs="ES256 EdDSA RS256"'),
        (shown(holder, "Bearer"), 'Bearer error="invalid_token"'),
        (shown(thief), 'DPoP error="invalid_token"'),
        (shown(holder, url=f"{BASE}/pay"), 'DPoP error="invalid_dpop_proof", algs="ES256 EdDSA RS256"'),
        (shown(holder, token="other"), 'DPoP error="invalid_dpop_proof", algs="ES256 EdDSA RS256"'),
    ):
        refused = await client.get("/me", headers=headers)
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, error)
    plain = await login(hx)
    unbound = bearer(plain.access, "DPoP") | {"DPoP": holder.proof("GET", f"{BASE}/me", now, plain.access)}
    assert (await client.get("/me", headers=unbound)).status_code == 401

    url = f"{BASE}/auth/refresh"
    got = await client.post(
        "/auth/refresh", json={"refresh_token": refresh}, headers={"DPoP": holder.proof("POST", url, now)}
    )
    assert (got.status_code, got.json()["token_type"]) == (200, "DPoP")
    bad = await client.post("/auth/refresh", json={"refresh_token": refresh}, headers={"DPoP": "nonsense"})
    assert (bad.status_code, bad.json()["error"]) == (400, "invalid_dpop_proof")
    stolen = await client.post(
        "/auth/refresh", json={"refresh_token": refresh}, headers={"DPoP": thief.proof("POST", url, now)}
    )
    assert (stolen.status_code, stolen.json()["error"]) == (400, "invalid_grant")
    assert (await client.get("/pay", headers=shown(holder, url=f"{BASE}/pay"))).status_code == 401


async def test_one_proof_is_enough_for_all_dependencies_of_a_request(
    app: FastAPI, serve: Any, clock: FixedClock
) -> None:
    guards = [Depends(RateLimit("5/minute per user")), Depends(Idempotent())]
    app.add_api_route("/transfers", pay, methods=["POST"], dependencies=guards)
    holder, now = Holder(), clock.now_ms // 1000
    async with serve(app) as client:
        pair = await app.state.hustlex.tokens.login("u1", jkt=holder.jkt)
        proof = holder.proof("POST", f"{BASE}/transfers", now, pair.access)
        headers = bearer(pair.access, "DPoP") | {"DPoP": proof, "Idempotency-Key": "k1"}
        answers = [await client.post("/transfers", headers=headers) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 401]


@pytest.mark.parametrize("path", ["/files/a%20b", "/files/a%2Fb", "/files/%C3%A9"])
async def test_a_proof_is_for_the_path_as_the_client_wrote_it(
    client: httpx.AsyncClient, app: FastAPI, hx: HustleX, clock: FixedClock, path: str
) -> None:
    app.add_api_route("/files/{name:path}", me)
    holder, now = Holder(), clock.now_ms // 1000
    pair = await login(hx, jkt=holder.jkt)
    for shown, status in ((path, 200), ("/files/a/b", 401)):
        proof = holder.proof("GET", f"{BASE}{shown}", now, pair.access)
        got = await client.get(path, headers=bearer(pair.access, "DPoP") | {"DPoP": proof})
        assert got.status_code == status


async def test_two_proofs_are_none(client: httpx.AsyncClient, hx: HustleX, clock: FixedClock) -> None:
    holder, now = Holder(), clock.now_ms // 1000
    pair = await login(hx, jkt=holder.jkt)
    proofs = [("DPoP", holder.proof("GET", f"{BASE}/me", now, pair.access)) for _ in range(2)]
    got = await client.get("/me", headers=[*bearer(pair.access, "DPoP").items(), *proofs])
    assert got.status_code == 401


async def test_a_foreign_session_is_not_touched_by_who_names_it(
    client: httpx.AsyncClient, hx: HustleX, raw: redis.Redis
) -> None:
    """The 404 is true: nothing is told to other processes either, however often a stranger asks."""
    mine, theirs = await login(hx), await login(hx, "u2")
    assert await hx.tokens.start()

    def feed() -> list[Any]:
        return [(key, raw.xrange(key)) for key in sorted(raw.keys("*jwt:revocations*")) if raw.type(key) == b"stream"]

    before = feed()
    for session_id in [theirs.session_id] * 20 + ["x", "a" * 22]:
        got = await client.delete(f"/auth/sessions/{session_id}", headers=bearer(mine.access))
        assert got.status_code == 404
    assert feed() == before
    for path in ("/me", "/pay"):
        assert (await client.get(path, headers=bearer(theirs.access))).json()["id"] == "u2"
    listed = (await client.get("/auth/sessions", headers=bearer(theirs.access))).json()
    assert [session["id"] for session in listed] == [theirs.session_id]
    assert (
        await client.delete(f"/auth/sessions/{theirs.session_id}", headers=bearer(theirs.access))
    ).status_code == 204
    assert feed() != before
