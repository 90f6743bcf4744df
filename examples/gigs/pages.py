"""The pages that people see: made here, moved by forms. Scripts only keep what is shown up to date."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from examples.gigs import forms, market
from examples.gigs.accounts import find_or_create
from examples.gigs.jobs import send_code
from examples.gigs.look import gig_of, movements_of, notices_of, work_of
from examples.gigs.rendering import CATEGORIES, page
from examples.gigs.routes import FIVE_A_MINUTE, GigId
from examples.gigs.visits import Member, NotSignedIn, Visit, Visitor
from hustlex.errors import Error
from hustlex.idempotency import Executed, Replay, Scope
from hustlex.idempotency import Response as Done
from hustlex.ratelimit import caller_of
from hustlex.web import CodeIn, OtpCodes, Problem, problem_of

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class PageRoute(APIRoute):
    """What goes wrong is a page as well; what only members see leads to the login, and back."""

    def get_route_handler(self) -> Handler:
        """FastAPI's own, and what it raises as pages."""
        handle = super().get_route_handler()

        async def handled(request: Request) -> Response:
            try:
                return await handle(request)
            except NotSignedIn:
                wanted = request.url.path if request.method == "GET" else "/"
                return request.state.visit.seen_off(Response(status_code=303, headers={"Location": login_at(wanted)}))
            except RequestValidationError:
                return await trouble(request, Problem(404, detail="There is nothing at this address."))
            except HTTPException as error:
                return await trouble(request, error)
            except Error as error:
                return await trouble(request, problem_of(error))

        return handled


router = APIRouter(route_class=PageRoute, include_in_schema=False, default_response_class=Response)
codes = OtpCodes(send=send_code, purpose="login")


def login_at(wanted: str) -> str:
    """The login, and where to go on from there."""
    return "/login" if wanted == "/" else f"/login?next={quote(wanted, safe='/')}"


async def trouble(request: Request, error: HTTPException) -> Response:
    """A page that says what is wrong."""
    visit = getattr(request.state, "visit", None)
    if visit is None:  # nothing was asked for that says who it is
        visit = Visit(request, request.app.state.backend)
        with suppress(Error):
            await visit.recognise("stateless")
    if error.status_code >= 500:
        visit.access, visit.heard = None, {}  # what else the page shows may not be there
    return await page(visit, "trouble.html", error.status_code, headers=error.headers, **forms.explained(error))


# -- the board


@router.get("/")
async def board(visit: Visitor, category: Annotated[str, Query(max_length=40)] = "") -> Response:
    """Open gigs, of one category or of all."""
    chosen = category if category in CATEGORIES else ""
    gigs, _ = await visit.shared.gigs(chosen)
    return await page(visit, "board.html", gigs=gigs, chosen=chosen)


@router.get("/gig/{gig_id}")
async def gig(gig_id: GigId, visit: Visitor) -> Response:
    """One gig, and what can be done with it."""
    return await page(visit, "gig.html", **await gig_of(visit, gig_id))


@router.post("/gig/{gig_id}/take")
async def take(gig_id: GigId, visit: Member) -> Response:
    """Become its worker."""
    await visit.form()
    await market.take(visit.shared, visit.user, gig_id)
    return visit.go(f"/gig/{gig_id}", "taken")


@router.post("/gig/{gig_id}/complete")
async def complete(gig_id: GigId, visit: Member) -> Response:
    """Accept the work."""
    await visit.form()
    await market.complete(visit.shared, visit.user, gig_id)
    return visit.go(f"/gig/{gig_id}", "completed")


@router.get("/new")
async def new(visit: Visitor) -> Response:
    """The form of a new gig."""
    _ = visit.user
    return await _new(visit, {}, {})


async def _new(visit: Visit, filled: Any, faults: dict[str, str], status: int = 200) -> Response:
    return await page(visit, "new.html", status, filled=filled, faults=faults, key=secrets.token_urlsafe(16))


@router.post("/new")
async def post(visit: Member) -> Response:
    """Post it, once for each form however often its button is pressed."""
    filled = await visit.form()
    given, faults = forms.read_gig(filled)
    if given is None:
        return await _new(visit, filled, faults, 422)

    async def execute(_: object) -> Done:
        made = await market.post(visit.shared, visit.user, given.title, given.category, given.price_kobo)
        return Done(201, str(made.id).encode())

    scope = Scope(visit.user, "POST", "/new")
    try:
        done = await visit.shared.hx.idempotency.run(filled.get("key", ""), scope, execute)
    except forms.NotEnoughMoney:
        return await _new(visit, filled, {"price": "Your wallet does not hold that much."}, 409)
    if isinstance(done, Executed | Replay):
        return visit.go(f"/gig/{done.response.body.decode()}", "posted")
    return await _new(visit, filled, {"": "This was sent before. Look at your work, whether it is there."}, 409)


@router.get("/work")
async def work(visit: Visitor) -> Response:
    """One's own gigs."""
    return await page(visit, "work.html", **await work_of(visit))


# -- the wallet


@router.get("/wallet")
async def wallet(visit: Visitor) -> Response:
    """What it holds, what moved, and the form that sends."""
    return await _wallet(visit, {}, {})


async def _wallet(
    visit: Visit, filled: Any, faults: dict[str, str], status: int = 200, error: HTTPException | None = None
) -> Response:
    known = {"filled": filled, "faults": faults, "key": secrets.token_urlsafe(16), **await movements_of(visit)}
    known |= {"wait": forms.wait_of(error)}
    return await page(visit, "wallet.html", status, headers=error.headers if error else None, **known)


@router.post("/wallet")
async def send(visit: Member) -> Response:
    """Send money, once for each form; at most 5 a minute, counted together with the API's."""
    filled = await visit.form()
    given, faults = forms.read_transfer(filled)
    if given is None:
        return await _wallet(visit, filled, faults, 422)
    decision = await visit.shared.hx.ratelimit.check(
        FIVE_A_MINUTE, caller_of("user", str(visit.user)), endpoint="/wallet/transfers"
    )
    if not decision:
        return await _wallet(visit, filled, {}, 429, forms.too_many(decision))
    try:
        await market.send(visit.shared, visit.user, filled.get("key", ""), given.to_phone, given.amount_kobo)
    except forms.NotEnoughMoney:
        return await _wallet(visit, filled, {"amount": "Your wallet does not hold that much."}, 409)
    except HTTPException:
        return await _wallet(visit, filled, {"phone": "Nobody here has this number."}, 404)
    return visit.go("/wallet", "sent")


@router.get("/notices")
async def notices(visit: Visitor) -> Response:
    """What happened lately."""
    return await page(visit, "notices.html", notices=await notices_of(visit))


# -- who it is


@router.get("/login")
async def login(visit: Visitor, next_: Annotated[str, Query(alias="next", max_length=200)] = "/") -> Response:
    """The form for a phone number."""
    if visit.signed_in:
        return visit.go(forms.own_path(next_))
    return await page(visit, "login.html", filled={"next": next_}, faults={}, wait=0)


@router.post("/login")
async def ask(visit: Visitor, request: Request) -> Response:
    """Send a code."""
    filled = await visit.form()
    try:
        issued = await codes.ask(visit.shared.hx, request, filled.get("phone", "")[:64])
    except Problem as error:
        return await _not_sent(visit, filled, error)
    visit.put("challenge", issued.challenge)
    return visit.go("/login/code", next=forms.own_path(filled.get("next", "/")))


async def _not_sent(visit: Visit, filled: Any, error: Problem) -> Response:
    known = {"filled": {"next": "/", **filled}, "faults": {"phone": forms.why(error)}, "wait": forms.wait_of(error)}
    return await page(visit, "login.html", error.status_code, headers=error.headers, **known)


@router.get("/login/code")
async def code(visit: Visitor, next_: Annotated[str, Query(alias="next", max_length=200)] = "/") -> Response:
    """The form for the code."""
    if not visit.cookie("challenge"):
        return visit.go("/login")
    return await page(visit, "code.html", filled={"next": next_}, faults={}, wait=0)


@router.post("/login/code")
async def check(visit: Visitor, request: Request) -> Response:
    """Swap the code for a session; or send it again."""
    filled = await visit.form()
    challenge = visit.cookie("challenge")[:256]
    try:
        if "again" in filled:
            visit.put("challenge", (await codes.again(visit.shared.hx, request, challenge)).challenge)
            return visit.go("/login/code", "resent", next=forms.own_path(filled.get("next", "/")))
        typed = CodeIn(challenge=challenge, code=filled.get("code", "")[:64])
        proof = await codes.check(visit.shared.hx, request, typed)
    except Problem as error:
        known = {"filled": {"next": "/", **filled}, "faults": {"code": forms.why(error)}, "wait": forms.wait_of(error)}
        return await page(visit, "code.html", error.status_code, headers=error.headers, **known)
    backend = visit.shared
    await visit.sign_in(str(await find_or_create(backend.database, proof.phone, backend.settings.welcome_kobo)))
    visit.put("challenge", "")
    return visit.go(forms.own_path(filled.get("next", "/")), "hello")


@router.post("/logout")
async def logout(visit: Visitor) -> Response:
    """End the session."""
    await visit.form()
    if visit.signed_in:
        await visit.sign_out()
    return visit.go("/", "bye")


@router.get("/live/token")
async def live_token(visit: Visitor) -> Response:
    """The access token, for this page's live connection; no other site's page can read the answer."""
    answer = JSONResponse({"token": visit.cookie("access") if visit.signed_in else ""})
    answer.headers["Cache-Control"] = "no-store"
    return visit.seen_off(answer)
