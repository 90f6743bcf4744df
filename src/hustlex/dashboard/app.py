"""The console as an ASGI application: composes its parts, and answers."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from hustlex.app import HustleX
from hustlex.core import check
from hustlex.core.answer.aio import answering
from hustlex.core.redact import Formatter, Redacted, Redactor, What
from hustlex.dashboard import cost
from hustlex.dashboard.acts import ACTS, Act, target_of
from hustlex.dashboard.audit import Audit
from hustlex.dashboard.export import audit_csv, csv_of
from hustlex.dashboard.guard import NONCE, RequestGuard, form_of, is_own_form
from hustlex.dashboard.live import LIFE_S, RECHECK_S, LiveHub
from hustlex.dashboard.names import path_and_query, with_query
from hustlex.dashboard.operators import Access, Operator, as_operator
from hustlex.dashboard.pages.audit import wanted
from hustlex.dashboard.patrol import Patrol
from hustlex.dashboard.render import ASSETS, Renderer, again_of
from hustlex.dashboard.request import PageContent, PageRequest
from hustlex.dashboard.routes import PageRoute, match
from hustlex.dashboard.runner import BulkRunner
from hustlex.dashboard.signer import Signer
from hustlex.dashboard.signin import Session, SignIn
from hustlex.dashboard.standing import standing
from hustlex.dashboard.tails import Tails
from hustlex.dashboard.targets import Target
from hustlex.environment import in_production
from hustlex.errors import ConfigurationError, Conflict, Denied, Error, Misuse, NotFound
from hustlex.events.names import ChannelTemplate
from hustlex.jobs.search.query import LONGEST
from hustlex.people.notes import FIELDS, Phase
from hustlex.people.resend import Resend
from hustlex.ratelimit import Rule, Rulebook, parse_rule

_FOREIGN = "This form is not one of ours, or older than a day: load the page anew."
_NO_REVEAL = "You are {} and may not see what is hidden: ask who lets you in."
_NOT_OURS = "This form is not one of ours: load the page anew."
_EXPORTED = {"tasks": "jobs", "audit": "audit"}
"""What can be saved as a file, and the room whose right it is."""
_BROWSER = 32
"""Letters of the name that a browser gave itself: it tells its own streams apart from those of others."""
_STATUS: tuple[tuple[type[Error], int], ...] = ((NotFound, 404), (Misuse, 400), (Conflict, 409), (Denied, 403))


@answering
class Dashboard:
    """The web console of one application: ``app.mount("/ops", Dashboard(hx, access=who_may))``.

    access: says for each request what its sender may do, as a Operator or "none", "read", "act"; None: people sign in
        with tokens of one use, which ``sign_in_token`` makes.
    title: of the pages, as the application's name.
    hosts: names under which it may be reached, with ports; None: any, because the application around it decides.
    formatter: sees every value that somebody else wrote before it is shown; default ``Redactor``.
    rules: limits, as given to ``RateLimitMiddleware``: what is left of those per user stands on a person's page.
    channels: names of one person's channels, as ``users:{user}``: who listens to them stands there, too.
    resend: sends the person behind a phone or address a code again, see ``Resend``; None: the page says what to do
        instead.

    Closed by default: nothing is shown to whom ``access`` does not know. Raises Misuse.
    """

    def __init__(
        self,
        hx: HustleX,
        *,
        access: Access | None = None,
        title: str = "hustlex",
        hosts: Sequence[str] | None = None,
        formatter: Formatter | None = None,
        rules: Rulebook | Iterable[str | Rule] = (),
        channels: Iterable[str] = (),
        resend: Resend | None = None,
    ) -> None:
        check.instance("hx", hx, HustleX)
        check.text("title", title)
        self._rules = rules if isinstance(rules, Rulebook) else tuple(map(_parsed, check.several("rules", rules)))
        self._channels = tuple(map(_of_person, check.several("channels", channels)))
        self._resend = resend if resend is None else check.function("resend", resend)
        self._hx = hx
        self._formatter = formatter or Redactor()
        self._front = front = cost.counted(hx)
        self._signer = Signer(front.driver, hx.prefix)
        self._audit = Audit(front.driver, hx.prefix)
        self._signin = SignIn(front, self._signer, self._audit) if access is None else None
        self._access: Access = access or self._signin  # type: ignore[assignment]
        self._runner = BulkRunner(self._audit)
        self._tails, self._patrol = Tails(), Patrol(front)
        self._renderer = Renderer(title, production=in_production())
        self._hub = LiveHub()
        # A proxy's headers say the same whenever they are judged again: a page asks anew, through the proxy.
        self._stream_life_s = LIFE_S if self._signin else RECHECK_S
        routes = [
            Route("/static/{name}", self._asset),
            Route("/live", self._live),
            Route("/act", self._act, methods=["POST"]),
            Route("/confirm", self._confirm, methods=["GET", "POST"]),
            Route("/enter", self._enter, methods=["GET", "POST"]),
            Route("/export", self._export, methods=["POST"]),
            Route("/leave", self._leave, methods=["POST"]),
            Route("/{path:path}", self._page, methods=["GET", "POST"]),
        ]
        inner = Starlette(routes=routes, exception_handlers={Error: self._failed})
        self._app = RequestGuard(inner, hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        cost.begin()
        await self._app(scope, receive, send)

    async def sign_in_token(self, operator: Operator) -> str:
        """A token that signs its bearer in once, within 15 minutes.

        Raises ConfigurationError where ``access`` is given, Unavailable.
        """
        return await self._signs_in().token(operator)

    async def end_sessions(self, name: str) -> None:
        """Sign a name out of every console of this server, and spend its tokens; pages that are open end in a minute.

        Raises ConfigurationError where ``access`` is given, Misuse, Unavailable.
        """
        await self._signs_in().end(check.text("name", name))

    def _signs_in(self) -> SignIn:
        if self._signin is None:
            raise ConfigurationError("this console asks its application who may enter", hint="leave out access=")
        return self._signin

    async def _page(self, request: Request) -> Response:
        found = match(f"/{request.path_params['path']}")
        if found is None:
            raise NotFound("there is no such page")
        route, params = found
        asked = await self._ask(request, params, dict(request.query_params))
        if not asked.operator.reads:
            return self._closed(request)
        if (route.room and not asked.operator.sees_room(route.room)) or (request.method == "POST" and not route.asks):
            raise NotFound("there is no such page")
        if request.method == "POST":
            form = await form_of(request)
            if form is None or not self._is_ours(request, asked, form):
                return await self._told(request, asked, 403, _FOREIGN)
            asked = msgspec.structs.replace(asked, form=form)
            if form.get("reveal") and asked.params:
                asked = await self._revealed(asked)
                if not asked.operator.reveal:
                    return await self._told(request, asked, 403, _NO_REVEAL.format(asked.operator.name))
        page = await route.view(asked)
        if page.elsewhere:
            return RedirectResponse(page.elsewhere, 303)
        return await self._answer(request, asked, page, live=route.tick_s > 0 and page.live and not asked.form)

    async def _revealed(self, asked: PageRequest) -> PageRequest:
        """The same, with what is hidden, for this one answer, for whom may see it; who looks is written down first."""
        queue = asked.queue() if "queue" in asked.params else ""
        phase: Phase = "done" if asked.operator.reveal else "refused"
        await self._audit.note(asked.operator, phase, "reveal", "/".join(asked.params.values()), queue=queue)
        return msgspec.structs.replace(asked, formatter=_as_it_is) if asked.operator.reveal else asked

    async def _live(self, request: Request) -> Response:
        """The same page again and again, for who has it open. path: its path and query, under our root."""
        address = path_and_query(request.query_params.get("path", ""))
        found = match(address[0]) if address else None
        if address is None or found is None:
            return PlainTextResponse("There is no such page.", 404)
        route, params = found
        query = dict(address[1])
        asked = await self._ask(request, params, query)
        if not asked.operator.reads or (route.room and not asked.operator.sees_room(route.room)):
            return PlainTextResponse("", 403)
        if self._hub.full:
            return PlainTextResponse("", 503, {"Retry-After": "30"})
        if not (await route.view(asked)).live:  # what cannot be shown is no stream, either
            return PlainTextResponse("This page does not change by itself.", 404)
        key = (route.pattern, tuple(sorted(params.items())), tuple(sorted(query.items())), asked.operator, asked.root)
        stream = self._hub.stream(
            key, partial(self._fragment, route, asked), route.tick_s, partial(self._still, request, asked.operator),
            (asked.operator, request.query_params.get("browser", "")[:_BROWSER]), life_s=self._stream_life_s,
        )  # fmt: skip
        return StreamingResponse(stream, 200, {"X-Accel-Buffering": "no"}, "text/event-stream")

    async def _fragment(self, route: PageRoute, asked: PageRequest) -> str:
        page = await route.view(asked)
        return self._renderer.main(page, asked, self._signer.form_token(asked.operator.name))

    async def _still(self, request: Request, operator: Operator) -> bool:
        return as_operator(await self._access(request)) == operator

    async def _confirm(self, request: Request) -> Response:
        """What an act would change, and the form that does it."""
        form = await form_of(request) if request.method == "POST" else dict(request.query_params)
        asked = await self._ask(request, {}, form or {})
        if not asked.operator.reads:
            return self._closed(request)
        verb = asked.word("verb")
        act, target = self._wanted(asked, verb, asked.query)
        values = {
            "verb": verb,
            "act": act,
            "target": target,
            "preview": await act.preview(asked, target) if act.preview else [],
            "fields": FIELDS,
            "back": _local(asked.word("back"), asked),
        }
        return await self._answer(request, asked, PageContent("confirm", act.title, values))

    async def _act(self, request: Request) -> Response:
        asked = await self._ask(request, {}, {})
        form = await form_of(request)
        if form is None or not asked.operator.reads:
            return self._closed(request)
        if not self._is_ours(request, asked, form):
            return await self._told(request, asked, 403, _FOREIGN)
        verb = form.get("verb", "")
        act, target = self._wanted(asked, verb, form)
        if not asked.operator.acts:
            await self._audit.note(asked.operator, "refused", verb, target.written(asked), **target.places)
            return await self._told(
                request, asked, 403, f"You are {asked.operator.name} and may look, but not change anything."
            )
        if act.weight == "heavy" and form.get("typed", "") != act.typed(target):
            raise Misuse(
                f"{act.title}: what was typed is not {act.typed(target)!r}", hint="go back and type it as it is"
            )
        outcome = await self._do(asked, verb, act, target)
        back = outcome if isinstance(outcome, str) else _local(form.get("back", ""), asked)
        return RedirectResponse(with_query(back, said=verb, n=outcome if isinstance(outcome, int) else ""), 303)

    async def _export(self, request: Request) -> Response:
        """What a search finds, or the audit, as a file; who took it is written down first."""
        asked = await self._ask(request, {}, {})
        form = await form_of(request)
        if form is None or not asked.operator.reads:
            return self._closed(request)
        if not self._is_ours(request, asked, form):
            return await self._told(request, asked, 403, _FOREIGN)
        of = form.get("of", "tasks")
        if of not in _EXPORTED or not asked.operator.sees_room(_EXPORTED[of]):
            raise NotFound("there is no such page")
        query = check.text("query", form.get("query", ""), longest=LONGEST) if of == "tasks" else ""
        sought = wanted(lambda name: form.get(name, ""))
        if sought.faults:
            raise Misuse(sought.faults[0])
        target = f"query={query}" if of == "tasks" else " ".join(["audit", *map("=".join, sought.given.items())])
        await self._audit.note(asked.operator, "done", "export", str(asked.show(What("audit", target)).value))
        text = await (csv_of(asked, query) if of == "tasks" else audit_csv(asked, sought))
        file = {"Content-Disposition": f'attachment; filename="{of}.csv"'}
        return PlainTextResponse(text, 200, file, media_type="text/csv")

    def _is_ours(self, request: Request, asked: PageRequest, form: Mapping[str, str]) -> bool:
        token = form.get("form_token", "")
        return is_own_form(request) and self._signer.is_form_token(token, asked.operator.name)

    def _wanted(self, asked: PageRequest, verb: str, given: Any) -> tuple[Act, Target]:
        act = ACTS.get(verb)
        if act is None or not asked.operator.sees_room(act.room):
            raise Misuse("there is no such act", hint="use the buttons on the pages")
        return act, target_of(asked, act, given)

    async def _do(self, asked: PageRequest, verb: str, act: Act, target: Target) -> int | str | None:
        """With an entry before, without which nothing is done, and one after; both say how it stood."""
        was = await standing(asked, verb, target)
        told = {"verb": verb, "target": target.written(asked), "before": was.words}
        told |= target.places if target.queue else target.places | {"queue": was.queue}
        entry = await self._audit.note(asked.operator, "intent", **told)
        try:
            outcome = await act.does(msgspec.structs.replace(asked, hx=self._hx), target)
        except Error as error:
            await self._audit.over(asked.operator, "failed", of=entry, error=type(error).__name__, **told)
            raise
        after = (await standing(asked, verb, target)).words
        count = str(outcome) if isinstance(outcome, int) else ""
        await self._audit.over(asked.operator, "done", of=entry, count=count, after=after, **told)
        return outcome

    async def _enter(self, request: Request) -> Response:
        if self._signin is None:
            raise NotFound("there is no such page")
        await self._signer.ready()
        asked = self._request(request, Operator("none", "nobody"), {}, {})
        wrong = ""
        if request.method == "POST":
            form = await form_of(request)
            ours = form is not None and is_own_form(request)
            found = await self._signin.enter(request, form or {}) if ours else _NOT_OURS
            if isinstance(found, Session):
                response = RedirectResponse(asked.url(), 303)
                self._signin.keep(request, response, found)
                return response
            wrong = found
        return await self._answer(
            request, asked, PageContent("enter", "Sign in", {"wrong": wrong}, 403 if wrong else 200)
        )

    async def _leave(self, request: Request) -> Response:
        root = request.scope.get("root_path", "")
        response = RedirectResponse(f"{root}/enter" if self._signin else f"{root}/", 303)
        if self._signin is not None and is_own_form(request):
            await self._signin.leave(request, response)
        return response

    async def _asset(self, request: Request) -> Response:
        found = ASSETS.get(request.path_params["name"])
        if found is None:
            return PlainTextResponse("", 404)
        kind, content = found
        return Response(content, 200, {"Content-Type": kind, "Cache-Control": "private, max-age=31536000, immutable"})

    async def _ask(self, request: Request, params: Any, query: dict[str, str]) -> PageRequest:
        """The request, with who sent it."""
        await self._signer.ready()
        return self._request(request, as_operator(await self._access(request)), params, query)

    def _request(self, request: Request, operator: Operator, params: Any, query: dict[str, str]) -> PageRequest:
        root, still_may = request.scope.get("root_path", ""), partial(self._still, request, operator)
        return PageRequest(
            self._front, operator, self._formatter, root, params, query, runner=self._runner, still_may=still_may,
            tails=self._tails, patrol=self._patrol, rules=self._rules, channels=self._channels, resend=self._resend,
        )  # fmt: skip

    def _closed(self, request: Request) -> Response:
        if self._signin is not None:
            return RedirectResponse(f"{request.scope.get('root_path', '')}/enter", 303)
        return PlainTextResponse("You may not look at this console.", 403)

    async def _told(self, request: Request, asked: PageRequest, status: int, sentence: str, hint: str = "") -> Response:
        values = {"sentence": sentence, "hint": hint}
        return await self._answer(
            request, asked, PageContent("problem", "Not done" if status < 500 else "Trouble", values, status)
        )

    async def _failed(self, request: Request, error: Exception) -> Response:
        """One sentence, with what to do; the rest of the console goes on."""
        assert isinstance(error, Error)
        status = next((code for kind, code in _STATUS if isinstance(error, kind)), 503)
        try:
            asked = await self._ask(request, {}, {})
        except Error:
            asked = self._request(request, Operator("none", "nobody"), {}, {})
        if not (asked.operator.reads or status == 503):
            return self._closed(request)
        return await self._told(request, asked, status, error.message, error.hint or "")

    async def _answer(self, request: Request, asked: PageRequest, page: PageContent, *, live: bool = False) -> Response:
        began = time.perf_counter()
        act = ACTS.get(request.query_params.get("said", ""))
        html = self._renderer.document(
            page, asked, nonce=request.scope[NONCE], live=live, again=again_of(request.url) if live else None,
            form_token=self._signer.form_token(asked.operator.name),
            said=_said(act, request.query_params.get("n", "")), signs_in=self._signin is not None,
        )  # fmt: skip
        response = HTMLResponse(html, page.status)
        response.headers["Server-Timing"] = f"render;dur={(time.perf_counter() - began) * 1000:.1f}"
        if self._signin is not None:
            self._signin.keep(request, response)
        return response


def _as_it_is(what: What) -> Redacted:
    return Redacted(what.value)


def _parsed(rule: object) -> Rule:
    return rule if isinstance(rule, Rule) else parse_rule(check.typed("a rule", rule))


def _of_person(channel: str) -> ChannelTemplate:
    template = ChannelTemplate(channel)
    if template.parameters != {"user"}:
        raise Misuse("a channel of one person has {user} in its name, and nothing else", hint="as users:{user}")
    return template


def _said(act: Act | None, count: str) -> str:
    """What was done a moment ago: words of ours alone, whatever stands in the address."""
    if act is None:
        return ""
    return f"{int(count):,} {act.said}" if count.isascii() and count.isdecimal() and len(count) < 12 else act.said


def _local(back: str, asked: PageRequest) -> str:
    """A path of ours to go back to; home for anything else."""
    ours = path_and_query(back) is not None and back.startswith(f"{asked.root}/")
    return back if ours else asked.url()
