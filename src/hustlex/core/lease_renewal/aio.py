"""A lease kept alive beside the block that holds it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from hustlex.core.background.aio import Background
from hustlex.core.lease_renewal.lease import Lease
from hustlex.core.op import AsyncDriver, Op
from hustlex.errors import Error


@contextlib.asynccontextmanager
async def renewed(driver: AsyncDriver, renew: Op[bool], every_s: float) -> AsyncIterator[Lease]:
    """Run ``renew`` every so often while the block runs. It answers False once the lease is somebody else's."""
    lease = Lease()

    async def renew_while_held() -> None:
        while not lease.lost:
            await renewer.pause(every_s)
            if renewer.ended:
                return
            with contextlib.suppress(Error):  # a server that is away for a moment; the next beat tries again
                lease.lost = not await driver.run(renew)

    renewer = Background(renew_while_held, "hustlex lease")
    renewer.start()
    try:
        yield lease
    finally:
        renewer.end()
