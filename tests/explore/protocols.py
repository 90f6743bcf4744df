"""All that is explored."""

from __future__ import annotations

from tests.explore.cache import Cache
from tests.explore.cron import Cron
from tests.explore.engine import Protocol
from tests.explore.idempotency import Idempotency
from tests.explore.jobs import Jobs
from tests.explore.limits import Limits
from tests.explore.otp import Otp
from tests.explore.tokens import Tokens
from tests.explore.workflow import Workflows

_ALL = (Jobs(), Workflows(), Cron(), Otp(), Tokens(), Idempotency(), Limits(), Cache())
PROTOCOLS: dict[str, Protocol] = {each.name: each for each in _ALL}
