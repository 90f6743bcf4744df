"""Transaction PINs: a slow, keyed hash for the database, and attempts that are counted before they are compared."""

from __future__ import annotations

from hustlex.core import check
from hustlex.core.answer.aio import answering, told
from hustlex.core.check import Id
from hustlex.core.context import Context
from hustlex.core.keyring import Keyring
from hustlex.core.op import AsyncDriver
from hustlex.core.time import Clock, server_clock
from hustlex.pins import flows, ops
from hustlex.pins.aio import HashPool
from hustlex.pins.hashing import Hasher
from hustlex.pins.inspector import PinInspector
from hustlex.pins.options import PinOptions
from hustlex.pins.types import HashResult, VerifyResult


@answering
class Pins:
    """The room keeps no PIN: ``hash`` returns a verifier for the application's database, ``verify`` is handed it back.

    Redis counts attempts and holds locks. The hash runs in threads, so many at once, and never on the event loop.
    ``verify`` raises Unavailable when the server cannot be asked, Overloaded when too many wait: then nothing is let
    through.
    """

    def __init__(
        self,
        driver: AsyncDriver,
        keyring: Keyring,
        *,
        prefix: str = "",
        clock: Clock = server_clock,
        options: PinOptions | None = None,
    ) -> None:
        if options is not None:
            check.instance("options", options, PinOptions)
        self._driver = check.driver(driver)
        self._options = options or PinOptions()
        pool = HashPool(self._options.threads, self._options.waiting)
        self._room = flows.PinServices(keyring, Hasher(keyring), prefix, self._options, clock, pool.run)
        self.inspector = PinInspector(driver, self._room)
        told(self, driver.hook)

    async def hash(self, user_id: Id, pin: str) -> HashResult:
        """A verifier, about 115 characters, for this user alone. No round trip; tens of milliseconds of a thread.

        pin: as typed, digits of any script. PinWeak for repeats, sequences and common ones. Raises Misuse for an id
        that cannot be one, Overloaded.
        """
        return await self._driver.follow(flows.hash_pin(self._room, user_id, pin))

    async def verify(self, user_id: Id, pin: str, stored: str, ctx: Context | None = None) -> VerifyResult:
        """Compare a PIN with the stored verifier; one round trip, two when it is right.

        The attempt is counted first, so any number of concurrent calls compare no more than ``PinOptions.attempts``
        PINs; a right one takes it back, unless another attempt has locked the user meanwhile: then it is not told.
        ctx: what the PIN is entered for; its digest is in PinOk. Raises Misuse for what is no verifier,
        ConfigurationError for one of a secret that is not listed (not counted), OutcomeUnknown when a reply was lost
        and the attempt may have been counted. Source: lua/attempt.lua, lua/heal.lua, lua/withdraw.lua.
        """
        return await self._driver.follow(flows.verify(self._room, user_id, pin, stored, ctx))

    async def reset(self, user_id: Id) -> bool:
        """Forgive all attempts and lift the lock, after the user has proved otherwise who they are.

        True when there was something. Source: lua/reset.lua.
        """
        return await self._driver.run(ops.reset(self._room.tries(user_id), self._options))
