"""Rate limits: several policies judged in one atomic step, with exact waiting times, by the server's clock."""

from hustlex.ratelimit.api import RateLimit
from hustlex.ratelimit.types import Algorithm, Decision, Outcome, Policy, PolicyState

__all__ = ["Algorithm", "Decision", "Outcome", "Policy", "PolicyState", "RateLimit"]
