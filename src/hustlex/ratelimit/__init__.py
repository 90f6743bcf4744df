"""Rate limits: several policies judged in one atomic step, with exact waiting times, by the server's clock.

How a check flows:

1. ``api.py``: ``RateLimit.check`` asks the limiter, has what it is given sent and hands the Decision on.
2. ``engine/limiter.py``: is it answered here (refusal, stock, exemption, open breaker), else what is sent.
3. ``engine/compiler.py``: the policies, worked out once; ``engine/memory.py``: what is known of the subject.
4. ``engine/ops.py`` and ``lua/check*.lua``: the operation, and the script that judges and charges;
   ``coalescing/aio.py`` sends it, alone or with others in one call (``engine/shared.py``).
5. ``engine/decoder.py``: the reply becomes a Decision (``types.py``); ``engine/replies.py`` reads it when asked.
6. Else: ``engine/flows.py`` asks again in the right window, ``engine/fallback.py`` answers without the server.
7. Later: ``engine/redeem.py`` takes the Decision's receipt for refund, heartbeat and release.

``policy/`` is what an application declares: policies, algorithms, rules as text and files, guarantees.

``inspector.py`` answers what an operator asks, by ``engine/look.py`` and ``engine/bans.py``.
"""

from hustlex.core.breaker import BreakerOptions
from hustlex.ratelimit.api import RateLimit
from hustlex.ratelimit.engine.bans import BannedCaller, BanPage
from hustlex.ratelimit.engine.look import PenaltyState
from hustlex.ratelimit.identity import caller_of
from hustlex.ratelimit.inspector import LimitInspector
from hustlex.ratelimit.options import RateLimitOptions
from hustlex.ratelimit.policy.guarantees import Guarantee, bound, sheet
from hustlex.ratelimit.policy.policy import Algorithm, OnError, Penalty, Policy
from hustlex.ratelimit.policy.rule_parser import Rule, parse_rule
from hustlex.ratelimit.policy.rules_file import Reloaded, Rulebook
from hustlex.ratelimit.types import Decision, Outcome, PolicyState, Source

__all__ = [
    "Algorithm",
    "BanPage",
    "BannedCaller",
    "BreakerOptions",
    "Decision",
    "Guarantee",
    "LimitInspector",
    "OnError",
    "Outcome",
    "Penalty",
    "PenaltyState",
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
