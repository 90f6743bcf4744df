"""A lease kept by a task of the same event loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from hustlex.core.keeper.lease import Lease
from hustlex.core.op import AsyncDriver, Op
from hustlex.errors import Error


@contextlib.asynccontextmanager
async def kept(driver: AsyncDriver, renew: Op[bool], every_s: float) -> AsyncIterator[Lease]:
    """Run ``renew`` every so often while the block runs. It answers False once the lease is somebody else's."""
    lease = Lease()
    keeper = asyncio.get_running_loop().create_task(_keep(driver, renew, every_s, lease))
    try:
        yield lease
    finally:
        keeper.cancel()


async def _keep(driver: AsyncDriver, renew: Op[bool], every_s: float, lease: Lease) -> None:
    while not lease.lost:
        await asyncio.sleep(every_s)
        with contextlib.suppress(Error):  # a server that is away for a moment; the next beat tries again
            lease.lost = not await driver.run(renew)
