"""One caller tells for all: nothing is told twice, nothing is left, and a caller who breaks off blocks nobody."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from hustlex.core.op import Batch
from hustlex.errors import Unavailable
from hustlex.otp import OtpOptions, Scope, reservations
from hustlex.otp.outcome_buffer import OutcomeBuffer
from hustlex.otp.reservations import CapScope, CapUnit

OPTIONS = OtpOptions()
COUNTRY, PREFIX = CapScope(Scope.COUNTRY, "cc:NG"), CapScope(Scope.PREFIX, "pfx:2348031")
BLOCK, IP = CapScope(Scope.BLOCK, "blk:b", "m"), CapScope(Scope.IP, "ip:i")
TICKET = reservations.write(
    [CapUnit(place, 1000 + n, counted=True) for n, place in enumerate((COUNTRY, BLOCK, PREFIX, IP))]
)


def told(batch: Any) -> dict[str, tuple[int, ...]]:
    """What a batch says of each scope: taken, sent, verified, wrong, then what is given back."""
    assert isinstance(batch, Batch)
    return {op.keys[0][5:7]: (*(op.args[at] for at in (3, 5, 7, 9)), *op.args[17:]) for op in batch.ops}  # type: ignore[arg-type]


def finish(flow: Any, answer: Any) -> Any:
    with pytest.raises(StopIteration) as ended:
        flow.send(answer)
    return ended.value.value


def test_notes_of_one_place_are_one_operation() -> None:
    buffer = OutcomeBuffer()
    buffer.verified(TICKET)
    buffer.verified(f"{TICKET}|{TICKET}")
    buffer.wrong("NG")
    buffer.nonsense(IP)
    buffer.sent([CapUnit(PREFIX, 7, counted=True), CapUnit(COUNTRY, 7)])
    flow = buffer.flush(OPTIONS, "", 0)
    assert told(next(flow)) == {
        "cc": (0, 0, 2, 1, 1000, 1000, 1000),
        "bl": (0, 0, 2, 0, "m@1001", "m@1001", "m@1001"),
        "pf": (0, 1, 2, 0, 1002, 1002, 1002),
        "ip": (1, 0, 2, 0, 1003, 1003, 1003),
    }
    assert finish(flow, [False] * 4) == []


def test_while_one_tells_the_others_leave_their_notes() -> None:
    buffer = OutcomeBuffer()
    buffer.wrong("NG")
    teller = buffer.flush(OPTIONS, "", 0)
    assert told(next(teller)) == {"cc": (0, 0, 0, 1)}
    for _ in range(3):
        buffer.wrong("NG")
        with pytest.raises(StopIteration):
            next(buffer.flush(OPTIONS, "", 0))
    assert told(teller.send([False])) == {"cc": (0, 0, 0, 3)}
    (event,) = finish(teller, [True])
    assert (event.outcome, event.country) == ("guessing", "NG")


def test_a_teller_that_breaks_off_blocks_nobody() -> None:
    buffer = OutcomeBuffer()
    buffer.wrong("NG")
    teller = buffer.flush(OPTIONS, "", 0)
    next(teller)
    teller.close()
    buffer.wrong("NG")
    assert told(next(buffer.flush(OPTIONS, "", 0))) == {"cc": (0, 0, 0, 1)}


def test_a_store_that_is_away_costs_one_try_and_no_error(caplog: pytest.LogCaptureFixture) -> None:
    buffer = OutcomeBuffer()
    buffer.verified(TICKET)
    teller = buffer.flush(OPTIONS, "", 0)
    next(teller)
    buffer.wrong("NG")
    assert finish(teller, [Unavailable("away")] * 4) == []
    assert "Unavailable" in caplog.text
    assert told(next(buffer.flush(OPTIONS, "", 0))) == {"cc": (0, 0, 0, 1)}


def test_nobody_tells_for_ever() -> None:
    buffer = OutcomeBuffer()
    buffer.wrong("NG")
    teller = buffer.flush(OPTIONS, "", 0)
    next(teller)
    for _ in range(3):
        buffer.wrong("NG")
        assert isinstance(teller.send([False]), Batch)
    buffer.wrong("NG")
    assert finish(teller, [False]) == []
    assert told(next(buffer.flush(OPTIONS, "", 0))) == {"cc": (0, 0, 0, 1)}


def test_threads_lose_no_note() -> None:
    buffer, counted, lock = OutcomeBuffer(), [], threading.Lock()

    def work() -> None:
        for _ in range(500):
            buffer.wrong("NG")
            flow = buffer.flush(OPTIONS, "", 0)
            try:
                batch = next(flow)
                while True:
                    with lock:
                        counted.append(told(batch)["cc"][3])
                    batch = flow.send([False])
            except StopIteration:
                pass

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for batch in buffer.flush(OPTIONS, "", 0):
        counted.append(told(batch)["cc"][3])
        break
    assert sum(counted) == 4000
