"""Idempotency keys and webhooks: a request that is sent twice is executed once.

How a call flows: ``api.py`` is the door. ``flows.py`` begins a claim, runs the caller's function under it and
completes it; ``canonical.py`` and ``multipart.py`` make the print of a request, ``names.py`` its key. ``ops.py``
sends each step as one script of ``lua/``; answers that are kept are sealed by ``seals.py``, whose key Redis does not
have. ``webhooks.py`` checks signatures, ``http.py`` turns outcomes into answers, ``options.py`` is what can be set.

Redis cannot give exactly-once for money: keep a unique constraint in the database too; see ``Idempotency``.

``inspector.py`` answers what an operator asks, by ``look.py``.
"""

from hustlex.core.lease_renewal import Lease
from hustlex.idempotency.api import Idempotency
from hustlex.idempotency.http import http_answer
from hustlex.idempotency.inspector import ClaimInspector
from hustlex.idempotency.look import ClaimPage, ClaimState
from hustlex.idempotency.names import Scope
from hustlex.idempotency.options import IdempotencyOptions, Orphans
from hustlex.idempotency.types import (
    BeginResult,
    EventResult,
    Executed,
    Finding,
    InFlight,
    InvalidKey,
    Mismatch,
    Orphaned,
    Replay,
    Response,
    RunResult,
    Seen,
    Started,
)
from hustlex.idempotency.webhooks import Provider, Verify, hmac_signature

__all__ = [
    "BeginResult",
    "ClaimInspector",
    "ClaimPage",
    "ClaimState",
    "EventResult",
    "Executed",
    "Finding",
    "Idempotency",
    "IdempotencyOptions",
    "InFlight",
    "InvalidKey",
    "Lease",
    "Mismatch",
    "Orphaned",
    "Orphans",
    "Provider",
    "Replay",
    "Response",
    "RunResult",
    "Scope",
    "Seen",
    "Started",
    "Verify",
    "hmac_signature",
    "http_answer",
]
