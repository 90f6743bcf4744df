"""Every outcome of every room is a success or a failure, and ``or_raise`` tells them apart."""

from __future__ import annotations

import importlib
from datetime import timedelta
from typing import Any

import pytest

from hustlex.core.outcome import Failure, Outcome, Secretive
from hustlex.errors import Unsuccessful
from hustlex.jobs import Enqueued, Failed, Succeeded
from hustlex.otp.types import Cooldown

GOOD = {
    "otp": "Issued Suppressed Resent Verified Delivery Granted Enrolment",
    "tokens": "TokenPair Access ChannelAccess SubscriptionToken Refreshed LoggedOut RevokedSession RevokedAll Proven "
    "Forbidden",
    "idempotency": "Response Started Replay Seen Executed",
    "pins": "PinHashed PinOk",
    "jobs": "Enqueued Handle Succeeded",
}
ROOMS = [*GOOD, "ratelimit", "cache", "events"]


def outcomes(room: str) -> set[type[Outcome]]:
    places = [importlib.import_module(f"hustlex.{room}")]
    places += [importlib.import_module(f"hustlex.{room}.types")]
    values = [value for place in places for value in vars(place).values()]
    base = (Outcome, Secretive, Failure)
    return {value for value in values if isinstance(value, type) and issubclass(value, Outcome) and value not in base}


@pytest.mark.parametrize("room", ROOMS)
def test_every_outcome_is_listed_as_a_success_or_is_a_failure(room: str) -> None:
    good = {kind.__name__ for kind in outcomes(room) if not issubclass(kind, Failure)}
    assert good | ({"Handle"} & set(GOOD.get(room, "").split())) == set(GOOD.get(room, "").split())


def test_an_error_shows_numbers_and_times_and_nothing_else() -> None:
    wait: Any = Cooldown(timedelta(seconds=30))
    with pytest.raises(Unsuccessful, match=r"Cooldown\(retry_after=0:00:30\)") as error:
        wait.or_raise()
    assert error.value.outcome is wait
    with pytest.raises(Unsuccessful, match="the job failed: boom"):
        Failed("boom").or_raise()


def test_a_success_gives_itself() -> None:
    done: Succeeded[int] = Succeeded(3)
    assert done.or_raise() is done and issubclass(Enqueued, Outcome)
