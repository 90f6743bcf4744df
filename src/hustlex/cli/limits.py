"""``hustlex limits``: what rate limits promise."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer

from hustlex.errors import Misuse
from hustlex.ratelimit import Guarantee, Rule, Rulebook, parse_rule, sheet
from hustlex.ratelimit.policy.guarantees import spoken

limits = typer.Typer(help="Rate limits: what they promise.", no_args_is_help=True)


@limits.callback()
def group() -> None:
    """Rate limits: what they promise."""


@limits.command()
def explain(
    policies: Annotated[
        list[str], typer.Argument(help="A file of rules (.toml, .json), or rules: '10/minute per user on POST /pay'.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON array.")] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit 1 when a limit can be exceeded in a window, or is a shadow.")
    ] = False,
) -> None:
    """Print each policy's proven worst case: the most that any window can admit, however the calls arrive.

    Exit codes: 0; 1 with --strict when a worst case lies above its limit, or a policy is a shadow; 2 for a
    rule or file that is not valid.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the sheet says it better
        rules = [rule for given in policies for rule in _rules(given)]
    sheets = [(rule, sheet(rule.policy)) for rule in rules]
    if as_json:
        print(json.dumps([_plain(rule, found) for rule, found in sheets], indent=2))
    else:
        print("\n\n".join(_told(rule, found) for rule, found in sheets))
    if strict and any(found.exceedable for _, found in sheets):
        raise typer.Exit(1)


def _rules(given: str) -> tuple[Rule, ...]:
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


def _told(rule: Rule, found: Guarantee) -> str:
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
