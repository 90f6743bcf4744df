"""What the Flask and the Django door share: whose a request is, its limit, its idempotency key. Knows no framework."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from hustlex.core import check
from hustlex.core.addresses import network
from hustlex.core.check import Id
from hustlex.errors import ConfigurationError, Misuse
from hustlex.idempotency import IdempotencyOptions, Response, Scope, http_answer
from hustlex.problems import Description
from hustlex.ratelimit import Decision, Policy, Rule, parse_rule
from hustlex.sync import HustleX
from hustlex.tokens import Access, Mode

UNAUTHORIZED = Description(401, detail="Log in to go on.", headers={"WWW-Authenticate": "Bearer"})


def access_of(hx: HustleX, authorization: str, mode: Mode) -> Access | None:
    """The access behind ``Authorization: Bearer ...``; None without a good token. Raises Unavailable: answer 503."""
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        return None
    answer = hx.tokens.check(token.strip(), mode=mode)
    return answer if isinstance(answer, Access) else None


def logged_in(access: Access | None) -> Access:
    """The access that ``login_required`` has left on a request. Raises ConfigurationError where there is none."""
    if not isinstance(access, Access):
        raise ConfigurationError("nobody is logged in here", hint="put @login_required above the view")
    return access


def plain_view(view: Any) -> Any:
    """A view of the application. Raises Misuse for an async one: it would be counted, and claimed, and never run."""
    if inspect.iscoroutinefunction(check.function("view", view)):
        raise Misuse("view is an async function", hint="make it a plain one, or serve it by hustlex.web")
    return view


class Limit:
    """A route's limit, as given to ``rate_limit``.

    policy: a Policy, a rule's line (``hustlex.ratelimit.parse_rule``), or several that are judged together. key:
    the application's own word on who is limited. endpoint: "" stands for method and route. Raises Misuse.
    """

    def __init__(
        self,
        policy: Policy | str | Sequence[Policy | str],
        key: Callable[..., Id] | None,
        endpoint: str,
        cost: int,
    ) -> None:
        check.instance(
            "policy", policy, Policy, str, list, tuple, hint="pass a Policy, a rule's line, or a list of them"
        )
        rules = [_rule(each) for each in ([policy] if isinstance(policy, Policy | str) else policy)]
        if not rules:
            raise Misuse("rate_limit needs at least one policy")
        if len({(rule.who, rule.endpoint) for rule in rules}) > 1:
            raise Misuse("these lines limit different callers or places", hint="use one rate_limit for each")
        if rules[0].who == "key" and key is None:
            raise Misuse("a limit per key needs key=...", hint="a function that answers the API key's reference")
        self.who = rules[0].who
        self._key = key if key is None else check.function("key", key)
        self._mark = ""
        self._policies = tuple(rule.policy for rule in rules)
        self._endpoint = check.text("endpoint", endpoint, blank=True) or (rules[0].endpoint if rules[0].path else "")
        self._cost = check.whole("cost", cost, 1)
        self._holds = any(each.algorithm == "leases" for each in self._policies)

    @contextmanager
    def entered(self, hx: HustleX, identity: Id, method: str, route: str) -> Iterator[Decision]:
        """``with limit.entered(...) as decision``: judged once; a place of "3 at once" is kept while the block runs."""
        identity = check.identity("key", identity)
        label = (self._endpoint or f"{'GET' if method == 'HEAD' else method} {route}") + self._mark
        if self._holds:
            with hx.ratelimit.hold(self._policies, identity, endpoint=label, cost=self._cost) as place:
                yield place.decision
        else:
            yield hx.ratelimit.check(self._policies, identity, endpoint=label, cost=self._cost)

    def around(self, view: Callable[..., Any]) -> tuple[Limit, ...]:
        """All limits of the view, with this one. Raises Misuse when one of them counts the same callers in the same
        place; where that shows at a call only, as keys are the application's, this one counts in a place of its own.
        """
        within: tuple[Limit, ...] = getattr(view, "__hustlex_limits__", ())
        here = [each for each in within if each._endpoint == self._endpoint]
        if any((each._key or each.who) == (self._key or self.who) for each in here):
            raise Misuse(
                "this view has a limit for the same callers already",
                hint="pass all in one rate_limit([...]), or name an endpoint",
            )
        if any(each._key or self._key for each in here):
            self._mark = f"#{len(here)}"
        return (*within, self)


def caller(who: str, access: Access | None, address: str | None) -> str:
    """Whom a limit without a key function counts. Raises ConfigurationError for a user's limit without a user."""
    if who == "global":
        return "global"
    if who == "ip":
        return _address(address or "")
    if access is None:
        raise ConfigurationError("a limit per user needs a user", hint="put @login_required above @rate_limit")
    return access.user_id


def _address(host: str) -> str:
    """An address; an IPv6 one as its /64. All that cannot be read share one count."""
    try:
        return f"ip:{network(host)}".removesuffix("/32")
    except ValueError:
        return "ip:unreadable"


def answer_once(
    hx: HustleX,
    access: Access | None,
    keys: Sequence[str],
    request: tuple[str, str, str],
    content: tuple[bytes, str],
    execute: Callable[[], Response],
    options: IdempotencyOptions | None,
) -> Response:
    """Run a view unless its request was answered before; the answer, new or kept, or the problem in its place.

    keys: the values of the ``Idempotency-Key`` header. request: method, route, path with query. content: body and media
    type. Raises ConfigurationError without a logged-in user.
    """
    if access is None:
        raise ConfigurationError("an idempotent view needs a user", hint="put @login_required above @idempotent")
    method, route, target = request
    body, media_type = content
    scope = Scope(access.user_id, method, route, target)
    key = keys[0] if len(keys) == 1 else ""
    run = hx.idempotency.run
    return http_answer(run(key, scope, lambda _: execute(), body=body, content_type=media_type, options=options))


def _rule(given: Policy | str) -> Rule:
    check.instance("policy", given, Policy, str, hint="pass a Policy, or a rule's line")
    return Rule(given) if isinstance(given, Policy) else parse_rule(given)
