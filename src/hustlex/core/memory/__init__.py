"""Whether a server keeps what it is told: eviction turns a revoked token into a good one, silently."""

from hustlex.core.memory.facts import MemoryLimit, ask, check

__all__ = ["MemoryLimit", "ask", "check"]
