"""Background work: money first, then messages, then what runs by the clock."""

from __future__ import annotations

from datetime import timedelta

from examples.gigs import money
from examples.gigs.backend import Backend, open_backend
from examples.gigs.views import Notice, naira
from hustlex import Tasks
from hustlex.delivery import Message, Texts, deliver_codes
from hustlex.jobs import IdTaken, current_job

tasks = Tasks(lifespan=open_backend)


def backend() -> Backend:
    """The worker process' connections."""
    shared: Backend = current_job().state
    return shared


@tasks.task("gig:escrow_release", queue="critical", max_retry=5, timeout=timedelta(seconds=30))
async def escrow_release(gig_id: int) -> None:
    """Pay the worker of a completed gig: once, however often this runs, because the ledger's key is unique.

    What follows is repeated as well when a crash cuts it off: the message's task id, kept a day, makes it one message.
    """
    async with backend().database.transaction() as session:
        gig = await money.release_escrow(session, gig_id)
    if gig is None or gig.worker_id is None:
        return
    text = f"{naira(gig.price_kobo)} for '{gig.title}' is in your wallet"
    await backend().profiles.delete(gig.worker_id)
    message = push.job(user_id=gig.worker_id, title="You were paid", text=text)
    told = await backend().hx.jobs.enqueue(message, task_id=f"push:escrow:{gig_id}", retention=timedelta(days=1))
    if not isinstance(told, IdTaken):  # by the attempt before this one
        told.or_raise()
    await tell(gig.worker_id, Notice("escrow_released", text, gig_id), f"escrow:{gig_id}")
    await tell(gig.owner_id, Notice("gig_paid", f"'{gig.title}' is paid out", gig_id), f"paid:{gig_id}")


async def tell(user_id: int, notice: Notice, idem: str) -> None:
    """A notice in a user's open windows, and in the list of them; once, though its job may run again."""
    await backend().notices.publish(notice, idem=idem, user_id=user_id)


@tasks.task("notification:sms", queue="low", max_retry=5, timeout=timedelta(seconds=20))
async def sms(phone: str, text: str) -> None:
    """Send one text message."""
    await backend().sender.sms(phone, text, current_job().id)


@tasks.task("notification:push", queue="low", max_retry=5, timeout=timedelta(seconds=20))
async def push(user_id: int, title: str, text: str) -> None:
    """Send one push message."""
    await backend().sender.push(user_id, title, text, current_job().id)


class Sms:
    """Login codes leave as every other text message does."""

    channel = "sms"

    async def send(self, message: Message) -> None:
        await backend().sender.sms(message.to, message.text, message.key)


send_code = deliver_codes(tasks, Sms(), texts=Texts(app="HustleX"), front=lambda state: state.hx)


@tasks.task("savings:remind", queue="default")
async def remind_savers() -> None:
    """The weekly reminder to everybody with money in the wallet."""
    async with backend().database.transaction() as session:
        savers = await money.savers(session)
    text = "Put a part of this week's earnings aside"
    jobs = [push.job(user_id=user, title="Savings", text=text) for user in savers]
    for told in await backend().hx.jobs.enqueue_many(jobs):
        told.or_raise()


tasks.cron("weekly reminder", "0 9 * * 1", remind_savers.job(), timezone="Africa/Lagos")
