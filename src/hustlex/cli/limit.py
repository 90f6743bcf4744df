"""``hustlex limit``: what rate limits promise, and what is left of them for one caller."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from hustlex.cli.acts import acting
from hustlex.cli.client import Prefix, Url, opened
from hustlex.cli.output import AsJson, fields_of, print_done, print_fields, print_found, print_json, print_table, typed
from hustlex.cli.values import duration
from hustlex.errors import Misuse
from hustlex.metrics.refused import read_refused
from hustlex.ratelimit import Decision, Guarantee, PenaltyState, Policy, Rule, Rulebook, caller_of, parse_rule, sheet
from hustlex.ratelimit.policy.guarantees import spoken

limit = typer.Typer(no_args_is_help=True)

Rules = Annotated[
    list[str],
    typer.Argument(help="Rules that are judged together: '10/minute per user on POST /pay', or a file (.toml, .json)."),
]
Who = Annotated[str, typer.Option(help="The user, key or address that is limited; - reads it from standard input")]
Endpoint = Annotated[str | None, typer.Option(help="The label it is counted under; default the rule's own")]


@limit.callback()
def group() -> None:
    """Rate limits: what they promise, and what is left of them for one caller."""


@limit.command()
def explain(
    policies: Annotated[
        list[str], typer.Argument(help="A file of rules (.toml, .json), or rules: '10/minute per user on POST /pay'.")
    ],
    as_json: AsJson = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit 1 when a limit can be exceeded in a window, or is a shadow.")
    ] = False,
) -> None:
    """Print each policy's proven worst case: the most that any window can admit, however the calls arrive.

    Exit codes: 0; 1 with --strict when a worst case lies above its limit, or a policy is a shadow; 2 for a
    rule or file that is not valid.
    Example: hustlex limit explain '100/hour per ip using counter'
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the sheet says it better
        rules = [rule for given in policies for rule in rules_of(given)]
    sheets = [(rule, sheet(rule.policy)) for rule in rules]
    if as_json:
        print_json("limit.guarantee.list/1", {"items": [_plain(rule, found) for rule, found in sheets]})
    else:
        print("\n\n".join(_spoken(rule, found) for rule, found in sheets))
    if strict and any(found.exceedable for _, found in sheets):
        raise typer.Exit(1)


@limit.command()
def peek(
    rules: Rules,
    who: Who,
    endpoint: Endpoint = None,
    url: Url = None,
    prefix: Prefix = None,
    as_json: AsJson = False,
) -> None:
    """What is left for one caller, and since when they are banned; charges nothing.

    Example: hustlex limit peek '10/minute per user on POST /pay' --who u7
    """
    policies, identity, label = _subject(rules, typed(who), endpoint)
    with opened(url, prefix=prefix) as hx:
        decision = hx.ratelimit.peek(policies, identity, endpoint=label)
        marks = hx.ratelimit.inspector.caller(policies, identity, endpoint=label)
    if as_json:
        print_json("limit.caller/1", {**_decided(decision), "policies": decision.per_policy, "marks": marks})
        return
    print_fields(_decided(decision))
    heads = ("policy", "limit", "window", "left", "retry after", "all free after")
    print_table(heads, ((each.policy, each.limit, each.window, each.remaining, each.retry_after, each.reset_after)
                        for each in decision.per_policy))  # fmt: skip
    _print_marks(marks)


@limit.command()
def refused(
    policies: Annotated[
        list[str], typer.Argument(help="1 to 5 names of policies; those that are judged together joined by +")
    ],
    max_callers: Annotated[int, typer.Option(min=1, max=200, help="Callers of each policy")] = 50,
    url: Url = None,
    prefix: Prefix = None,
    as_json: AsJson = False,
) -> None:
    """The callers that policies refused most in the last 24 hours, as processes with metrics told it.

    Example: hustlex limit refused pay login
    """
    with opened(url, prefix=prefix) as hx:
        found = hx.driver.run(read_refused(hx.prefix, policies, max_callers))
    if as_json:
        print_json("limit.refused.list/1", {"items": found})
    else:
        print_table(("caller", "policy", "at least"), ((each.caller, each.policy, each.times) for each in found))


@limit.command()
def reset(
    rules: Rules, who: Who, endpoint: Endpoint = None, url: Url = None, prefix: Prefix = None, as_json: AsJson = False
) -> None:
    """Forget what one caller used, and their bans. Other processes may repeat a refusal for some seconds.

    Example: hustlex limit reset '10/minute per user on POST /pay' --who u7
    """
    caller = typed(who)
    policies, identity, label = _subject(rules, caller, endpoint)
    with opened(url, prefix=prefix) as hx, acting(hx, "reset_limit", limit=_names(policies), caller=caller):
        done = hx.ratelimit.reset(policies, identity, endpoint=label)
    print_done(done, "limit.reset/1", as_json=as_json)


@limit.command()
def ban(
    rules: Rules,
    who: Who,
    length: Annotated[str, typer.Option("--for", help="How long, 1s to 24h, as 30min")],
    endpoint: Endpoint = None,
    url: Url = None,
    prefix: Prefix = None,
    as_json: AsJson = False,
) -> None:
    """Refuse every call of one caller for a time. One of the rules needs a penalty, so pass their file.

    Example: hustlex limit ban limits.toml --who u7 --endpoint /pay --for 1h
    """
    caller = typed(who)
    policies, identity, label = _subject(rules, caller, endpoint)
    told = {"limit": _names(policies), "caller": caller, "length": length}
    with opened(url, prefix=prefix) as hx, acting(hx, "ban", **told):
        hx.ratelimit.inspector.ban(policies, identity, endpoint=label, length=duration("--for", length))
    print_done(True, "limit.ban/1", as_json=as_json)


@limit.command()
def unban(
    rules: Rules, who: Who, endpoint: Endpoint = None, url: Url = None, prefix: Prefix = None, as_json: AsJson = False
) -> None:
    """Lift one caller's bans; what was used stays used. The rules need their penalty, so pass their file.

    Example: hustlex limit unban limits.toml --who u7 --endpoint /pay
    """
    caller = typed(who)
    policies, identity, label = _subject(rules, caller, endpoint)
    with opened(url, prefix=prefix) as hx, acting(hx, "unban", limit=_names(policies), caller=caller):
        done = hx.ratelimit.inspector.unban(policies, identity, endpoint=label)
    print_done(done, "limit.unban/1", as_json=as_json)


@limit.command()
def bans(
    cursor: Annotated[str, typer.Option(help="Where the page before ended")] = "",
    url: Url = None,
    prefix: Prefix = None,
    as_json: AsJson = False,
) -> None:
    """Who is banned now, by strikes or by hand, the longest first. Looks at 10,000 keys of the server at a time.

    Example: hustlex limit bans
    """
    with opened(url, prefix=prefix) as hx:
        page = hx.ratelimit.inspector.bans(cursor=cursor)
    heads = ("caller", "endpoint", "policy", "banned for", "ban number")
    print_found(
        "limit.ban.list/1",
        page.bans,
        page,
        heads,
        lambda e: (e.caller, e.endpoint, e.policy, e.banned_for, e.level or "by hand"),
        as_json=as_json,
    )


@limit.command()
def lift(
    record: Annotated[str, typer.Argument(help="As bans prints it with --json: its record")],
    url: Url = None,
    prefix: Prefix = None,
    as_json: AsJson = False,
) -> None:
    """Lift a ban that was found, without its rules. Every process may repeat it from memory for up to a minute.

    Example: hustlex limit lift 'app:ratelimit:{u8}:POST%20/pay:pen'
    """
    with opened(url, prefix=prefix) as hx, acting(hx, "lift_ban", ban=record):
        done = hx.ratelimit.inspector.lift(record)
    print_done(done, "limit.lift/1", as_json=as_json)


@limit.command("set")
def own(
    rules: Rules,
    who: Who,
    to: Annotated[str, typer.Option(help="The caller's own limit; none: everybody's again")],
    length: Annotated[str, typer.Option("--for", help="How long, as 12h or 7d")] = "1d",
    endpoint: Endpoint = None,
    url: Url = None,
    prefix: Prefix = None,
    as_json: AsJson = False,
) -> None:
    """Give one caller a limit of its own for a time. The rule must be overridable, the only such one of its place.

    Example: hustlex limit set '10/minute per user on POST /pay overridable' --who u7 --to 50 --for 7d
    """
    caller = typed(who)
    policies, identity, label = _subject(rules, caller, endpoint)
    bent = [policy for policy in policies if policy.overridable]
    if len(bent) != 1:
        raise Misuse(
            f"{len(bent)} of these rules are overridable", hint="pass those of one place, one of them overridable"
        )
    if to != "none" and not (to.isascii() and to.isdecimal() and len(to) < 16):
        raise Misuse("--to is no number", hint="pass a whole number, 1 or more, or none")
    most = None if to == "none" else int(to)
    told = {"limit": bent[0].name, "caller": caller} | ({} if most is None else {"most": to, "length": length})
    verb = "common_limit" if most is None else "own_limit"
    with opened(url, prefix=prefix) as hx, acting(hx, verb, **told):
        hx.ratelimit.set_limit(bent[0], identity, endpoint=label, limit=most, ttl=duration("--for", length))
    print_done(True, "limit.set/1", as_json=as_json)


def _subject(given: list[str], who: str, endpoint: str | None) -> tuple[tuple[Policy, ...], str, str]:
    """Policies, identity and label. Raises Misuse for rules that are not judged together."""
    rules = [rule for text in given for rule in rules_of(text)]
    first = rules[0] if rules else None
    if first is None or any((rule.who, rule.endpoint) != (first.who, first.endpoint) for rule in rules):
        raise Misuse("these rules do not limit the same callers at the same place", hint="pass those of one place")
    return tuple(rule.policy for rule in rules), _identity(first, who), endpoint or first.endpoint


def _names(policies: Iterable[Policy]) -> str:
    return ",".join(each.name for each in policies)


def _identity(rule: Rule, who: str) -> str:
    if rule.who == "global":
        return "global"
    return f"ip:{who}" if rule.who == "ip" else caller_of(rule.who, who)


def _decided(decision: Decision) -> dict[str, Any]:
    return {"allowed": decision.allowed, "outcome": decision.outcome, "retry_after": decision.retry_after}


def _print_marks(marks: Iterable[PenaltyState]) -> None:
    for each in marks:
        print()
        print_fields(fields_of(each))


def rules_of(given: str) -> tuple[Rule, ...]:
    """Of a file, or as they are typed."""
    path = Path(given)
    if path.suffix in (".toml", ".json"):
        return Rulebook(path).rules
    if not given.strip():
        raise Misuse("a rule is empty", hint="like '10/minute per user'")
    return (parse_rule(given),)


def _plain(rule: Rule, found: Guarantee) -> dict[str, Any]:
    return {
        "policy": found.policy,
        "who": rule.who,
        "endpoint": rule.endpoint,
        "algorithm": found.algorithm,
        "limit": found.limit,
        "window_ms": rule.policy.window_ms,
        "worst_in_window": found.worst,
        "at_once": found.at_once,
        "sustains": found.sustains,
        "promise": found.promise,
        "reason": found.reason,
        "flags": list(found.flags),
    }


def _spoken(rule: Rule, found: Guarantee) -> str:
    who = "everybody together" if rule.who == "global" else f"each {rule.who}"
    limit = f"{found.limit:,} at once" if found.algorithm == "leases" else f"{found.limit:,} in {spoken(found.window)}"
    place = rule.endpoint if rule.method or rule.path else "every route"
    lines = [
        f"{found.policy}: {limit} for {who} on {place}, by {found.algorithm}",
        f"  promise   {found.promise}",
        f"  because   {found.reason}",
    ]
    if found.sustains < 1:
        lines.append(f"  sustains  at least {found.sustains:.1%} of the limit under overload")
    return "\n".join(lines + [f"  note      {flag}" for flag in found.flags])
