"""Jobs that belong to a database transaction: enqueued if and when it commits. Needs ``hustlex[outbox]``."""

from hustlex.core.extras import require

require("hustlex.outbox", "outbox", "sqlalchemy")

from hustlex.outbox.relay import OutboxRelay
from hustlex.outbox.table import Outbox
from hustlex.outbox.types import OutboxStanding, Relayed

__all__ = ["Outbox", "OutboxRelay", "OutboxStanding", "Relayed"]
