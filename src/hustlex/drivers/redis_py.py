"""One server's connections, which redis-py opens; its retries, its pool and its reading are not used."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import hiredis
import redis
from redis import exceptions
from redis.backoff import NoBackoff
from redis.connection import DefaultParser
from redis.retry import Retry

from hustlex.drivers.faults import (
    FOREIGN,
    LOOK_S,
    SETTLED_S,
    SILENT_S,
    Late,
    Lost,
    NotSent,
    demoted,
    greeting,
    greets,
    link_failure,
    misplaced,
    refusal,
    unfit,
    warn_of_half_a_name,
)
from hustlex.drivers.links import SHORTEST_S, Handshake, Links, OpenLink, addresses
from hustlex.drivers.login import login, loginless
from hustlex.drivers.pack import join
from hustlex.drivers.patience import AGE_S, COMMAND_S, FOR_EVER, Outage, expiry
from hustlex.drivers.tally import LinkTally
from hustlex.drivers.url import Endpoint
from hustlex.errors import Misuse, Refused, Unavailable

try:
    from redis.driver_info import DriverInfo
except ImportError:
    _TOLD: dict[str, Any] = {}
else:  # else each connection would look the version up among the files of the installed package: 0.8 ms
    _TOLD = {"driver_info": DriverInfo()}
CONNECT_S = 2.0
_POOL = 100
_HELLO = join(("HELLO",))
_ASKING = join(("ASKING",))

Resolve = Callable[[], Endpoint]
"""Where the server is now. Raises NotSent, or Error."""


class _Patience(threading.local):
    """Until when (steady clock) the call of this thread may wait."""

    until = float("inf")


_patience = _Patience()


class ServerPool:
    """Connections to one server, one for each caller at a time.

    resolve: asked before each dial. place: the address it announces, if that is another one. node: where it was found
    last.
    """

    def __init__(
        self, endpoint: Endpoint, resolve: Resolve | None = None, place: tuple[str, int] | None = None
    ) -> None:
        self.place = place or (endpoint.host, endpoint.port)
        self._endpoint = endpoint
        self.tally = LinkTally()
        self._resolve = resolve
        self.node = endpoint.where
        self._pool = Links(_maker(endpoint, self._found, self.tally), _POOL)
        self._doubted = 0.0
        self.failed = self.met = False
        self.answered = FOR_EVER
        self.outage = Outage()
        self._links = Outage()
        self._looking = threading.Lock()

    def _found(self) -> Endpoint:
        if self._resolve is None:
            return self._endpoint
        endpoint = self._resolve()
        self.node = endpoint.where
        return endpoint

    def exchange(self, packed: Sequence[bytes], deadline: float, *, asking: bool = False) -> list[Any]:
        """Write all, read all, on one connection. Raises NotSent, Lost, Late, or Error when nothing can be sent."""
        return self.receive(self.send(packed, deadline, asking=asking))

    def ask(self, packed: bytes, deadline: float) -> Any:
        """As ``exchange``, of one command: most calls, with nothing made that only several need."""
        connection = self._take(deadline)
        at = time.monotonic()
        if at - connection.looked >= LOOK_S:
            self._pool.give(connection)
            return self.exchange([packed], deadline)[0]
        try:
            link = _link(connection)
            link.write(packed, deadline)
            reply = link.read(deadline)
        except BaseException as error:  # noqa: BLE001 - what stops the caller leaves a reply unread, too
            raise self._broken(connection, error, at) from None
        self._pool.give(connection)
        self.failed, self.met, self.answered = False, True, time.monotonic()
        if type(reply) is not hiredis.ReplyError:
            return reply
        return self._trusted(connection, at, None, [refusal(str(reply))])[0]

    def send(self, packed: Sequence[bytes], deadline: float, *, asking: bool = False) -> Sent:
        """Write all, with ASKING before each where that is due. The connection is kept until ``receive``."""
        connection = self._take(deadline)
        sent = Sent(connection, len(packed), deadline, asking)
        words = [part for command in packed for part in (_ASKING, command)] if asking else [*packed]
        if sent.looking:
            words.insert(0, _HELLO)
        with _Kept(self, connection):
            _link(connection).write(b"".join(words) if len(words) > 1 else words[0], deadline)
        return sent

    def receive(self, sent: Sent) -> list[Any]:
        """The replies; a refusal is one of them."""
        connection = sent.connection
        with _Kept(self, connection, sent.at):
            hello = _read(connection, sent.deadline) if sent.looking else None
            replies = [_read(connection, sent.deadline) for _ in range(sent.count * (2 if sent.asking else 1))]
        self._pool.give(connection)
        self.failed, self.met, self.answered = False, True, time.monotonic()
        if sent.looking:
            connection.looked = sent.at
        replica = None if self._endpoint.seed else demoted(hello)
        return self._trusted(connection, sent.at, replica, replies[1::2] if sent.asking else replies)

    def listen(self, packed: bytes, most: int, seconds: float, deadline: float) -> list[Any]:
        """What a command goes on to say after its first reply: so much at most, for so long at most.

        Raises NotSent, Lost, Late, or Error when the server refuses.
        """
        connection = self._take(deadline)
        found: list[Any] = []
        with _Kept(self, connection):
            _link(connection).write(packed, deadline)
            begun = _read(connection, deadline)
            until = time.monotonic() + seconds
            try:
                while not isinstance(begun, Refused) and len(found) < most and time.monotonic() < until:
                    found.append(_read(connection, until))
            except TimeoutError:
                pass
        self.give_up(connection)
        if isinstance(begun, Refused):
            raise begun
        return found

    def _trusted(self, connection: Any, at: float, replica: Refused | None, replies: list[Any]) -> list[Any]:
        """The replies, unless a replica gave them. One that says so ends this connection and all of its age."""
        if replica is not None:
            replies = [replica] * len(replies)
        if any(misplaced(reply) for reply in replies) and connection.opened <= at - SETTLED_S:
            self._doubted = at
        return replies

    def _broken(self, connection: Any, error: BaseException, sent_at: float = FOR_EVER) -> BaseException:
        """Whatever went wrong ends the connection, and is said in our words."""
        self.give_up(connection)
        if isinstance(error, TimeoutError):
            late = Late()
            late.silent = time.monotonic() - max(self.answered, sent_at) > SILENT_S
            return late
        if isinstance(error, hiredis.ProtocolError):
            return Lost(FOREIGN)
        if isinstance(error, exceptions.ConnectionError | OSError):
            return Lost(type(error).__name__)
        return error

    def give_up(self, connection: Any) -> None:
        """Replies that nobody read would go to the next caller."""
        self.failed = True
        connection.disconnect()
        self._pool.give(connection)

    def _take(self, deadline: float) -> Any:
        """Where the server is away for long one caller looks, the others fail at once."""
        _patience.until = deadline
        if not self._links.lasts(time.monotonic()):
            connection = self._connection(deadline)
        elif self._looking.acquire(blocking=False):
            try:
                connection = self._connection(deadline)
            finally:
                self._looking.release()
        else:
            self.tally.shed()
            raise Unavailable(f"{self._endpoint.where} is away", hint="one call at a time tries it")
        self._links.over()
        return connection

    def _connection(self, deadline: float) -> Any:
        try:
            connection = self._pool.take(min(deadline, time.monotonic() + CONNECT_S))
            if connection.opened <= self._doubted or connection.expires <= time.monotonic():
                self._dial_anew(connection)
            return connection
        except (exceptions.ConnectionError, exceptions.TimeoutError, OSError) as error:
            self.failed = True
            self.tally.add("failed")
            self._links.noted(time.monotonic())
            raise NotSent(link_failure(error)) from None
        except (exceptions.InvalidResponse, AttributeError, LookupError, TypeError):  # whatever it took for a greeting
            raise NotSent(FOREIGN) from None
        except exceptions.RedisError as error:
            raise greeting(str(error), self._endpoint) from None

    def _dial_anew(self, connection: Any) -> None:
        try:
            connection.disconnect()
            connection.connect()
        except BaseException:
            self._pool.give(connection)
            raise

    @property
    def busy(self) -> int:
        """How many callers have a connection for themselves."""
        return self._pool.busy

    def retire(self) -> None:
        """Close what nobody uses; the rest closes with its callers."""
        self._doubted = float("inf")
        self._pool.close_free()

    def close(self) -> None:
        """Close every connection; what is in flight fails. Idempotent."""
        self._pool.close()


class Sent:
    """Commands that were written, and whose replies are to be read."""

    def __init__(self, connection: Any, count: int, deadline: float, asking: bool) -> None:
        self.connection = connection
        self.count = count
        self.deadline = deadline
        self.asking = asking
        self.at = time.monotonic()
        self.looking = self.at - connection.looked >= LOOK_S


class _Kept:
    """Whatever goes wrong in the block ends the connection, and is said in our words."""

    def __init__(self, pool: ServerPool, connection: Any, sent_at: float = FOR_EVER) -> None:
        self._pool = pool
        self._connection = connection
        self._sent_at = sent_at

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if error is None:
            return
        told = self._pool._broken(self._connection, error, self._sent_at)
        if told is not error:
            raise told from None


def _link(connection: Any) -> OpenLink:
    link: OpenLink | None = connection.link
    if link is None:  # another thread closed the driver
        raise ConnectionError("closed")
    return link


def _read(connection: Any, deadline: float) -> Any:
    reply = _link(connection).read(deadline)
    return refusal(str(reply)) if type(reply) is hiredis.ReplyError else reply


class _Hasty:
    opened = looked = expires = 0.0
    counted = False
    link: OpenLink | None = None
    _sock: Any

    def _connect(self) -> Any:
        connect: Callable[[], Any] = super()._connect  # type: ignore[misc]
        return Handshake(connect(), _patience.until)


def _hurried(kind: Any, resolve: Resolve, tally: LinkTally, *, moves: bool) -> Any:
    """redis-py's connection, opened within the time of the call that needs it, its handshake included."""

    class Hurried(_Hasty, kind):  # type: ignore[misc]
        def connect(self) -> None:
            if self._sock is not None:
                return
            until = _patience.until
            endpoint = resolve()
            if moves:
                self.host, self.port = endpoint.host, endpoint.port
            left = max(SHORTEST_S, until - time.monotonic())
            self.socket_connect_timeout = min(CONNECT_S, left) / addresses(endpoint)
            self.socket_timeout = min(COMMAND_S, left)
            try:
                super().connect()
                self._begin(endpoint)
            except BaseException:  # redis-py closes for errors of its own only
                self.disconnect()
                raise

        def _begin(self, endpoint: Endpoint) -> None:
            if endpoint.replica and endpoint.mode == "cluster":
                self.send_command("READONLY")
                self.read_response()
            self.opened = self.looked = time.monotonic()
            self.expires = expiry(self.opened, AGE_S)
            if not greets(self.handshake_metadata):
                raise exceptions.InvalidResponse
            if (error := unfit(self.handshake_metadata, endpoint)) is not None:
                raise error
            warn_of_half_a_name(self.handshake_metadata, endpoint)
            self._sock = self._sock.over()
            self.link = OpenLink(self._sock, COMMAND_S)
            self.counted = tally.opened()

        def disconnect(self, *how: Any, **more: Any) -> None:
            self.link = None
            self.counted = self.counted and tally.ended()
            super().disconnect(*how, **more)

    return Hurried


_Parser: Any = DefaultParser


class _Verbatim(_Parser):  # type: ignore[misc]
    """redis-py's parser, leaving errors as the server words them: redis-py drops the first word of some."""

    @classmethod
    def parse_error(cls, response: str) -> Exception:
        return exceptions.ResponseError(response)


class _Credentials(redis.CredentialProvider):
    """Who logs in. As plain options redis-py would keep the password where ``repr`` and ``vars`` show it."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    def get_credentials(self) -> tuple[str, str]:
        """Asked by redis-py for each connection."""
        if self._endpoint.credentials is None:
            return self._endpoint.username or "default", self._endpoint.password
        try:
            username, password = login(self._endpoint.credentials())
        except Misuse:
            raise
        except Exception as error:
            raise loginless(error) from error
        return username or "default", password


def _maker(endpoint: Endpoint, resolve: Resolve, tally: LinkTally) -> Callable[[], Any]:
    kind: Any = redis.UnixDomainSocketConnection if endpoint.path else redis.Connection
    place: dict[str, Any] = {"path": endpoint.path} if endpoint.path else {"host": endpoint.host, "port": endpoint.port}
    if endpoint.tls:
        kind = redis.SSLConnection
        insecure = endpoint.insecure
        place |= {
            "ssl_ca_certs": endpoint.options.get("ssl_ca_certs"),
            "ssl_check_hostname": not insecure,
            "ssl_certfile": endpoint.options.get("ssl_certfile"),
            "ssl_keyfile": endpoint.options.get("ssl_keyfile"),
            "ssl_cert_reqs": "none" if insecure else "required",
        }
    named = endpoint.username or endpoint.password or endpoint.credentials
    return partial(
        _hurried(kind, resolve, tally, moves=not endpoint.path),
        db=endpoint.database,
        credential_provider=_Credentials(endpoint) if named else None,
        protocol=3,
        client_name="hustlex",
        parser_class=_Verbatim,
        retry=Retry(NoBackoff(), 0),
        socket_connect_timeout=CONNECT_S,
        socket_timeout=COMMAND_S,
        **_TOLD,
        **place,
    )
