"""All that is explored."""

from __future__ import annotations

from tests.explore.cache import Cache
from tests.explore.engine import Protocol
from tests.explore.idempotency import Idempotency
from tests.explore.jobs import Jobs
from tests.explore.otp import Otp
from tests.explore.tokens import Tokens

PROTOCOLS: dict[str, Protocol] = {each.name: each for each in (Jobs(), Otp(), Tokens(), Idempotency(), Cache())}
