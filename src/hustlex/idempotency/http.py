"""The outcomes as HTTP answers, for any framework. Pure."""

from __future__ import annotations

import math
from datetime import timedelta
from http import HTTPStatus
from typing import assert_never

import msgspec

from hustlex.core import check
from hustlex.idempotency.types import (
    Executed,
    InFlight,
    InvalidKey,
    Mismatch,
    Orphaned,
    Replay,
    Response,
    RunResult,
    Seen,
)

HEADER = "Idempotency-Key"
REPLAYED = "idempotent-replayed"
_LONGEST_WAIT = 5
_ORPHAN_WAIT = 60
_SECOND = timedelta(seconds=1)


_OUTCOMES = (Executed, Replay, Seen, InFlight, Orphaned, Mismatch, InvalidKey)


def http_answer(outcome: RunResult | Seen) -> Response:
    """What to answer a request whose outcome this is.

    Executed, Replay: the answer, a replayed one with ``Idempotent-Replayed: true``. Seen: 200. As RFC 9457 problems,
    InFlight and Orphaned: 409 and when to ask again; Mismatch: 422; InvalidKey: 400.
    """
    check.instance("outcome", outcome, *_OUTCOMES, hint="pass what the room has answered")
    match outcome:
        case Executed(response):
            return response
        case Replay(response):
            return msgspec.structs.replace(response, headers=(*response.headers, (REPLAYED, "true")))
        case Seen():
            return Response(200)
        case InFlight(rest):
            wait = _LONGEST_WAIT if rest is None else min(_LONGEST_WAIT, math.ceil(rest / _SECOND))
            return problem(409, "The same request is being carried out.", retry_after=max(1, wait))
        case Orphaned():
            text = "It is not known how this request ended. Do not send it with another key."
            return problem(409, text, retry_after=_ORPHAN_WAIT)
        case Mismatch():
            return problem(422, f"This {HEADER} was used for another request.")
        case InvalidKey():
            return problem(400, f"Send one {HEADER} header of 1 to 255 visible ASCII characters.")
        case _:
            assert_never(outcome)


def problem(status: int, detail: str, *, retry_after: int = 0) -> Response:
    """A problem (RFC 9457) as an answer. retry_after: seconds; 0: no such header."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    wait = (("retry-after", str(retry_after)),) if retry_after else ()
    return Response(status, msgspec.json.encode(body), (("content-type", "application/problem+json"), *wait))
