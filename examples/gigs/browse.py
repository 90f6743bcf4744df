"""The tour's second half: the same users in a browser, whose pages move by themselves."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

from examples.gigs.browser import Tab, connected, running
from examples.gigs.tour import Person, step

_LOADED = "document.readyState === 'complete'"


async def browse(url: str, outbox: Path, binary: str) -> None:
    """Two people at two browsers. binary: of a Chromium. Raises TimeoutError where a page stands still."""
    with running(binary) as address:
        async with AsyncExitStack() as closing:
            owner, worker = [await (await closing.enter_async_context(connected(address))).open(url) for _ in range(2)]
            phone = await enter(owner, url, outbox, "owner")
            await enter(worker, url, outbox, "worker")
            await pay(owner, worker, url)
            await be_refused(worker, url, phone)


async def enter(tab: Tab, url: str, outbox: Path, role: str) -> str:
    """Sign in by code; the phone."""
    with Person(url, outbox) as person, step(f"{role}, in a browser: signed in by code"):
        await tab.go(f"{url}/login")
        await tab.fill(phone=person.phone)
        await tab.until(f"location.pathname === '/login/code' && {_LOADED}")
        await tab.fill(code=person.read_code())
        await tab.until(f"location.pathname === '/' && document.querySelector('.pill') && {_LOADED}")
        return person.phone


async def pay(owner: Tab, worker: Tab, url: str) -> None:
    """A gig from posted to paid, each looking at a page of their own that is never loaded anew."""
    with step("gig posted with a form") as notes:
        await owner.go(f"{url}/new")
        await owner.fill(title="Paint my gate", category="repairs", price="15,000")
        await owner.until(f"location.pathname.startsWith('/gig/') && {_LOADED}")
        notes.append(await owner.run("document.querySelector('.pill').lastChild.data"))
    with step("gig taken: the owner's page says so by itself"):
        await worker.go(await owner.run("location.href"))
        await worker.press(".actions button")
        await owner.until("document.querySelector('#gig .taken')")
    with step("work accepted: the worker's wallet moves by itself") as notes:
        await worker.go(f"{url}/wallet")
        before = await worker.run("document.querySelector('.sum').innerText")
        await owner.press(".actions button")
        await worker.until(f"document.querySelector('.sum').innerText !== {before!r}")
        after = await worker.run("document.querySelector('.sum').innerText")
        notes.append(f"{before} -> {after}")


async def be_refused(tab: Tab, url: str, phone: str) -> None:
    """One transfer more than a minute allows."""
    with step("sixth transfer in a minute refused in words") as notes:
        await tab.go(f"{url}/wallet")
        for number in range(6):
            await tab.run(f"document.body.id = 'before{number}'")
            await tab.fill(phone=phone, amount="10")
            await tab.until(f"document.body.id === '' && document.querySelector('.said, .refused') && {_LOADED}")
        notes.append(await tab.run("document.querySelector('.refused .wait').innerText"))
