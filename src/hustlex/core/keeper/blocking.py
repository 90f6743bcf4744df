"""A lease kept by a thread."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from hustlex.core.keeper.lease import Lease
from hustlex.core.op import BlockingDriver, Op
from hustlex.errors import Error


@contextlib.contextmanager
def kept(driver: BlockingDriver, renew: Op[bool], every_s: float) -> Iterator[Lease]:
    """Run ``renew`` every so often while the block runs. It answers False once the lease is somebody else's."""
    lease, done = Lease(), threading.Event()
    keeper = threading.Thread(target=_keep, args=(driver, renew, every_s, lease, done), daemon=True, name="lease")
    keeper.start()
    try:
        yield lease
    finally:
        done.set()


def _keep(driver: BlockingDriver, renew: Op[bool], every_s: float, lease: Lease, done: threading.Event) -> None:
    while not lease.lost and not done.wait(every_s):
        with contextlib.suppress(Error):  # a server that is away for a moment; the next beat tries again
            lease.lost = not driver.run(renew)
