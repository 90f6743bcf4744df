"""The tour's second half: the same users in a browser, whose pages move by themselves."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

from examples.gigs.browser import Tab, connected, running
from examples.gigs.tour import Person, step

_LOADED = "document.readyState === 'complete'"
_FIVE_TIMES = """Promise.all([1, 2, 3, 4, 5].map(() => {
  const form = new FormData(document.querySelector("form[action='/wallet']"));
  return fetch("/wallet", { method: "POST", body: new URLSearchParams(form) });
})).then(() => 0)"""


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
        await tab.until(f"{_LOADED} && location.pathname === '/login/code'")
        await tab.fill(code=person.read_code())
        await tab.until(f"{_LOADED} && location.pathname === '/' && document.querySelector('.pill')")
        return person.phone


async def pay(owner: Tab, worker: Tab, url: str) -> None:
    """A gig from posted to paid, each looking at a page of their own that is never loaded anew."""
    with step("gig posted with a form") as notes:
        await owner.go(f"{url}/new")
        await owner.fill(title="Paint my gate", category="repairs", price="15,000")
        await owner.until(f"{_LOADED} && location.pathname.startsWith('/gig/')")
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
    """A form that is sent five times moves money once; all five count, so that the next one has to wait."""
    with step("transfer sent five times, moved once; the next one refused in words") as notes:
        await tab.go(f"{url}/wallet")
        fields = f"[['phone', {phone!r}], ['amount', '10']]"
        await tab.run(f"{fields}.forEach(([id, text]) => (document.getElementById(id).value = text))")
        await tab.run(_FIVE_TIMES)
        await tab.go(f"{url}/wallet?after")
        notes.append(await tab.run("document.querySelector('.sum').innerText"))
        await tab.fill(phone=phone, amount="10")
        await tab.until(f"{_LOADED} && document.querySelector('.refused')")
        notes.append(await tab.run("document.querySelector('.refused .wait').innerText"))
