"""Rate limits: several policies judged in one atomic step, with exact waiting times, by the server's clock."""

from hustlex.core.breaker import BreakerOptions
from hustlex.ratelimit.api import RateLimit
from hustlex.ratelimit.identity import caller_of
from hustlex.ratelimit.options import RateLimitOptions
from hustlex.ratelimit.policy.guarantees import Guarantee, bound, sheet
from hustlex.ratelimit.policy.policy import Algorithm, OnError, Penalty, Policy
from hustlex.ratelimit.policy.rule_parser import Rule, parse_rule
from hustlex.ratelimit.policy.rules_file import Reloaded, Rulebook
from hustlex.ratelimit.types import Decision, Outcome, PolicyState, Source

__all__ = [
    "Algorithm",
    "BreakerOptions",
    "Decision",
    "Guarantee",
    "OnError",
    "Outcome",
    "Penalty",
    "Policy",
    "PolicyState",
    "RateLimit",
    "RateLimitOptions",
    "Reloaded",
    "Rule",
    "Rulebook",
    "Source",
    "bound",
    "caller_of",
    "parse_rule",
    "sheet",
]
