"""Rate limits: several policies judged in one atomic step, with exact waiting times, by the server's clock."""

from hustlex.core.breaker import BreakerOptions
from hustlex.ratelimit.api import RateLimit
from hustlex.ratelimit.book import Reloaded, Rulebook
from hustlex.ratelimit.options import RateLimitOptions
from hustlex.ratelimit.sheet import Guarantee, bound, sheet
from hustlex.ratelimit.text import Rule, parse_rule
from hustlex.ratelimit.types import Algorithm, Decision, OnError, Outcome, Penalty, Policy, PolicyState, Source
from hustlex.ratelimit.who import caller_of

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
