"""The task that sends codes. Its jobs hold a challenge: the code is derived in the worker, and exists nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Protocol

from hustlex.core import check
from hustlex.core.answer.aio import answering
from hustlex.delivery.senders import Message, Sender, SendFailed
from hustlex.delivery.texts import Texts
from hustlex.errors import ConfigurationError, Misuse
from hustlex.jobs import Task, Tasks, current_job
from hustlex.otp import Delivery, DeliveryStatus, Otp

_UNKNOWN_TRIES = 2
_AGAIN = timedelta(seconds=3)
_TIMEOUT = timedelta(seconds=30)


class Front(Protocol):
    """What the worker's lifespan must lead to: a HustleX."""

    @property
    def otp(self) -> Otp: ...


def _judge(sender: object) -> None:
    if not isinstance(getattr(sender, "channel", None), str) or not callable(getattr(sender, "send", None)):
        raise Misuse(f"a sender cannot be {check.shown(sender)}", hint="pass what has a channel and an async send")


@answering
class Courier:
    """Sends codes by the first channel that takes them, to phones or by e-mail.

    senders: in the order in which they are tried, at least one; see Sender for which takes what.
    """

    def __init__(self, texts: Texts, *senders: Sender) -> None:
        check.instance("texts", texts, Texts)
        for sender in senders:
            _judge(sender)
        if not senders:
            raise ConfigurationError("a code needs a sender", hint="pass ConsoleSender() to begin with")
        self._texts = texts
        self._senders = senders

    async def deliver(self, otp: Otp, challenge: str, *, claim: str, last: bool = False) -> bool:
        """Send a challenge's code. claim: who sends it, as the job's id; of several jobs one does.

        True when a channel took it. False when it was no longer worth sending, or no channel ever will: then the send
        and its units of the caps are given back. last: no further try will be made, so give back as well.
        Raises what the last channel raised, to be tried again.
        """
        check.protocol("otp", otp, "open", "delivery_report", hint="pass hx.otp")
        check.flag("last", last)
        opened = await otp.open(challenge, claim=claim)
        if not isinstance(opened, Delivery):
            return False
        message = self._texts.message(opened)
        senders = [sender for sender in self._senders if _takes(sender, message)]
        if not senders:
            await otp.delivery_report(challenge, DeliveryStatus.FAILED)
            raise ConfigurationError(
                f"no sender takes {'e-mail' if message.by_mail else 'messages to phones'}",
                hint='hand one to deliver_codes; channel="email" is for e-mail, others for phones',
            )
        failures: list[SendFailed] = []
        for sender in senders:
            try:
                await sender.send(message)
            except SendFailed as failure:
                failures.append(failure)
            else:
                await otp.delivery_report(challenge, DeliveryStatus.SENT, channel=sender.channel)
                return True
        lost = all(failure.permanent for failure in failures)
        if lost or last:
            await otp.delivery_report(challenge, DeliveryStatus.FAILED, channel=senders[-1].channel)
        if lost:
            return False
        raise failures[-1]


def _takes(sender: Sender, message: Message) -> bool:
    return sender.channel == "console" or (sender.channel == "email") is message.by_mail


def deliver_codes(
    tasks: Tasks,
    *senders: Sender,
    texts: Texts,
    front: Callable[[Any], Front] = lambda state: state,
    task_type: str = "otp:deliver",
    queue: str = "critical",
) -> Task[[str], Any]:
    """Register the task that sends codes; ``auth_router(send=...)`` takes what this returns.

    senders: tried in this order. front: finds the HustleX in what ``tasks``' lifespan made; default: it made one.
    A channel whose outcome is unknown is tried once more with the same key. The job is worthless once the code is.
    """
    check.instance("tasks", tasks, Tasks)
    check.function("front", front)
    courier = Courier(texts, *senders)

    @tasks.task(task_type, queue=queue, max_retry=_UNKNOWN_TRIES - 1, retry_delay=_AGAIN, timeout=_TIMEOUT)
    async def deliver(challenge: str) -> None:
        job = current_job()
        last = job.retried >= _UNKNOWN_TRIES - 1
        await courier.deliver(front(job.state).otp, challenge, claim=job.id, last=last)

    return deliver
