"""How long keys live, asked in one call: models ask after each of their steps."""

from __future__ import annotations

import redis

_LIVES = """
local lives = {}
for _, key in ipairs(redis.call('KEYS', ARGV[1])) do
    lives[#lives + 1] = key
    lives[#lives + 1] = redis.call('PTTL', key)
end
return lives
"""


def lives_ms(raw: redis.Redis, match: str = "*") -> dict[bytes, int]:
    """Every key that matches, with its time to live; -1: for ever."""
    flat = raw.eval(_LIVES, 0, match)
    return dict(zip(flat[::2], flat[1::2], strict=True))
