"""The blocking driver, on redis-py: the same operations, the same repeat rule, for threads and scripts.

redis-py's own retries are off (it would repeat any command, also one that must run once) and so is its reply
shaping: replies arrive as the server sent them, exactly as on the async driver.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from datetime import timedelta
from types import TracebackType
from typing import Any, Self, TypeVar

import msgspec
import redis
from msgspec.structs import replace
from redis import exceptions
from redis.backoff import NoBackoff
from redis.connection import DefaultParser
from redis.retry import Retry

from hustlex.core.op import Batch, Call, Flow, Op, Sleep, Step
from hustlex.core.telemetry import Hook, Watch
from hustlex.drivers.faults import (
    FOREIGN,
    LOOK_S,
    SETTLED_S,
    Failure,
    Late,
    Lost,
    NotSent,
    anew,
    backoff,
    bad_reply,
    closed,
    demoted,
    exhausted,
    greeting,
    link_failure,
    misplaced,
    refusal,
    verdict,
)
from hustlex.drivers.pack import join, pack
from hustlex.drivers.url import Endpoint, parse_url
from hustlex.errors import Error, Refused

T = TypeVar("T")

_CONNECT_S = 2.0
_COMMAND_S = 1.0
_POOL = 100
_SHORTEST_S = 0.001
_HELLO = join(("HELLO",))


class _Again(msgspec.Struct, frozen=True):
    """In the place of an answer: the call is to be made again."""

    failure: Failure


class _Patience(threading.local):
    """Until when (steady clock) the call of this thread may wait."""

    until = float("inf")


_patience = _Patience()


class Driver:
    """A connection per concurrent caller, from a pool. Safe to share between threads.

    url: redis://, rediss://, valkey:// or unix://. timeout: of a call, connecting included; default 1 s. Raises
    ConfigurationError for a bad URL. A child process opens connections of its own.
    """

    def __init__(self, url: str, *, hook: Hook | None = None, timeout: timedelta | None = None) -> None:
        self._command_s = timeout.total_seconds() if timeout is not None else _COMMAND_S
        self._endpoint = parse_url(url)
        self._endpoint.ssl_context()
        self.hook = hook
        self._pool: Any = _pool(self._endpoint)
        self._doubted = 0.0
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def run(self, op: Op[T]) -> T:
        """Send one operation; see ``core.op.AsyncDriver``."""
        deadline = time.monotonic() + self._seconds(op)
        if self.hook is None:
            return _decode(op, self._insist(op, deadline))
        with Watch(self.hook, (op.name,)):
            return _decode(op, self._insist(op, deadline))

    def _seconds(self, op: Op[Any]) -> float:
        return op.timeout_ms / 1000 if op.timeout_ms else self._command_s

    def _insist(self, op: Op[Any], deadline: float, failure: Failure | None = None) -> Any:
        """Repeat what may be repeated, until the deadline."""
        attempt = 0
        while True:
            attempt += failure is not None
            whole_script = failure is not None and self._again(op, failure, attempt, deadline)
            try:
                return self._exchange([op], deadline, whole_script)[0]
            except (NotSent, Lost, Late, Refused) as error:
                failure = error

    def _again(self, op: Op[Any], failure: Failure, attempt: int, deadline: float) -> bool:
        """Return when the call may be made again (True: with the script's text); else raise."""
        error = verdict(failure, op.effect)
        if error is not None:
            raise error.during(op.name) from None
        if isinstance(failure, Refused) and failure.code == "NOSCRIPT":
            return True
        delay = backoff(attempt)
        if time.monotonic() + delay >= deadline:
            raise exhausted(failure, self._endpoint.where).during(op.name) from None
        time.sleep(delay)
        return False

    def _exchange(self, ops: Sequence[Op[Any]], deadline: float, whole_script: bool = False) -> list[Any]:
        """Write all, read all, on one connection. A single refused op raises; among several it is in the list."""
        packed = [pack(op, whole_script=whole_script) for op in ops]
        connection = self._connect(deadline)
        asked = time.monotonic()
        looking = asked - connection.looked >= LOOK_S
        try:
            connection.send_packed_command([b"".join([_HELLO, *packed] if looking else packed)])
            hello = self._read(connection, deadline) if looking else None
            replies = [self._read(connection, deadline) for _ in ops]
        except exceptions.TimeoutError:
            connection.disconnect()
            raise Late from None
        except exceptions.InvalidResponse:
            connection.disconnect()
            raise Lost(FOREIGN) from None
        except (exceptions.ConnectionError, OSError) as error:
            connection.disconnect()
            raise Lost(type(error).__name__) from None
        except BaseException:
            connection.disconnect()  # interrupted between write and read: the replies would go to the next caller
            raise
        finally:
            self._pool.release(connection)
        if looking:
            connection.looked = asked
        replies = self._trusted(connection, asked, demoted(hello), replies)
        if len(ops) == 1 and isinstance(replies[0], Refused):
            raise replies[0]
        return replies

    def _trusted(self, connection: Any, asked: float, replica: Refused | None, replies: list[Any]) -> list[Any]:
        """The replies, unless a replica gave them. One that says so ends this connection and all of its age."""
        if replica is not None:
            replies = [replica] * len(replies)
        if any(misplaced(reply) for reply in replies) and connection.opened <= asked - SETTLED_S:
            self._doubted = asked
        return replies

    @staticmethod
    def _read(connection: Any, deadline: float) -> Any:
        seconds = max(0.001, deadline - time.monotonic())
        try:
            return connection.read_response(disable_decoding=True, timeout=seconds, disconnect_on_error=False)
        except exceptions.ResponseError as error:
            return refusal(str(error))

    def _connect(self, deadline: float) -> Any:
        if self._closed:
            raise closed()
        _patience.until = deadline
        try:
            connection = self._pool.get_connection()
            if connection.opened <= self._doubted:
                self._dial_anew(connection)
            return connection
        except (exceptions.ConnectionError, exceptions.TimeoutError, OSError) as error:
            raise NotSent(link_failure(error)) from None
        except exceptions.InvalidResponse:
            raise NotSent(FOREIGN) from None
        except exceptions.RedisError as error:
            raise greeting(str(error)) from None

    def _dial_anew(self, connection: Any) -> None:
        try:
            connection.disconnect()
            connection.connect()
        except BaseException:
            self._pool.release(connection)
            raise

    def run_many(self, ops: Sequence[Op[T]]) -> list[T | Error]:
        """All in one write; answers in order, a failed one as its Error. What is repeated is repeated together."""
        if not ops:
            return []
        if self.hook is None:
            return self._many(ops)
        with Watch(self.hook, tuple(op.name for op in ops)) as call:
            answers = self._many(ops)
            call.results(answers)
            return answers

    def _many(self, ops: Sequence[Op[T]]) -> list[T | Error]:
        answers: list[Any] = [None] * len(ops)
        deadline = time.monotonic() + max(map(self._seconds, ops))
        left, attempt = list(range(len(ops))), 0
        while left:
            replies = self._together([ops[place] for place in left], deadline)
            for place, reply in zip(left, replies, strict=True):
                answers[place] = self._outcome(ops[place], reply, deadline)
            left = [place for place in left if isinstance(answers[place], _Again)]
            attempt += 1
            delay = backoff(attempt) if left else 0.0
            if time.monotonic() + delay >= deadline:
                break
            time.sleep(delay)
        for place in left:
            answers[place] = exhausted(answers[place].failure, self._endpoint.where).during(ops[place].name)
        return answers

    def _together(self, ops: Sequence[Op[Any]], deadline: float) -> Sequence[Any]:
        """What each was answered: its reply, or why there is none."""
        try:
            return self._exchange(ops, deadline)
        except Refused as refused:
            return [anew(refused) for _ in ops]
        except (NotSent, Lost, Late, Error) as failure:
            return [failure] * len(ops)

    def _outcome(self, op: Op[Any], reply: Any, deadline: float) -> Any:
        """The answer, the error, or _Again."""
        try:
            if isinstance(reply, Refused) and reply.code == "NOSCRIPT":
                return _decode(op, self._insist(op, deadline, reply))
            if isinstance(reply, (NotSent, Lost, Late, Refused)):
                error = verdict(reply, op.effect)
                return _Again(reply) if error is None else error.during(op.name)
            return reply if isinstance(reply, Error) else _decode(op, reply)
        except Error as error:
            return error

    def follow(self, flow: Flow[T]) -> T:
        """Carry a flow to its end; every exception is thrown into it so that it can clean up."""
        try:
            step = flow.send(None)
            while True:
                try:
                    answer = self._step(step)
                except BaseException as error:  # noqa: BLE001 - the flow decides
                    step = flow.throw(error)
                else:
                    step = flow.send(answer)
        except StopIteration as stop:
            result: T = stop.value
            return result
        finally:
            flow.close()

    def _step(self, step: Step) -> Any:
        if isinstance(step, Op):
            return self.run(step)
        if isinstance(step, Batch):
            return self.run_many(step.ops)
        if isinstance(step, Sleep):
            return time.sleep(step.seconds)
        assert isinstance(step, Call)
        return step.function()

    def block(self, op: Op[T], seconds: float) -> T:
        """Run a command that waits on the server up to ``seconds``, and has the time of a call beside that."""
        if not op.timeout_ms:
            op = replace(op, timeout_ms=int((seconds + self._command_s) * 1000))
        return self.run(op)

    def close(self) -> None:
        """Close every connection; what is in flight fails. Idempotent."""
        self._closed = True
        self._pool.disconnect()


def _hurried(kind: Any) -> Any:
    """redis-py's connection, opened within the time of the call that needs it, its handshake included."""

    class Hurried(kind):  # type: ignore[misc]
        opened = looked = 0.0

        def connect(self) -> None:
            if self._sock is not None:
                return
            left = max(_SHORTEST_S, _patience.until - time.monotonic())
            self.socket_connect_timeout, self.socket_timeout = min(_CONNECT_S, left), min(_COMMAND_S, left)
            super().connect()
            opened: Any = self._sock
            opened.settimeout(_COMMAND_S)
            self.socket_timeout = _COMMAND_S
            self.opened = self.looked = time.monotonic()
            if (replica := demoted(self.handshake_metadata)) is not None:
                self.disconnect()
                raise replica

    return Hurried


_Parser: Any = DefaultParser


class _Verbatim(_Parser):  # type: ignore[misc]
    """redis-py's parser, leaving errors as the server words them: redis-py drops the first word of some."""

    @classmethod
    def parse_error(cls, response: str) -> Exception:
        return exceptions.ResponseError(response)


_WaitingPool: Any = redis.BlockingConnectionPool


class _Queue(_WaitingPool):  # type: ignore[misc]
    """redis-py's pool, in which a call waits for a free connection no longer than it has time."""

    @property
    def timeout(self) -> float:
        return max(_SHORTEST_S, min(_CONNECT_S, _patience.until - time.monotonic()))

    @timeout.setter
    def timeout(self, seconds: float) -> None:
        """Set by redis-py to its default."""


class _Credentials(redis.CredentialProvider):
    """Who logs in. As plain options redis-py would keep the password where ``repr`` and ``vars`` show it."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    def get_credentials(self) -> tuple[str, str]:
        """Asked by redis-py for each connection."""
        return self._endpoint.username or "default", self._endpoint.password


def _pool(endpoint: Endpoint) -> Any:
    """redis-py's pool with its retries, shaping and default address off; ours are set above."""
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
    return _Queue(
        connection_class=_hurried(kind),
        max_connections=_POOL,
        db=endpoint.database,
        credential_provider=_Credentials(endpoint) if endpoint.username or endpoint.password else None,
        protocol=3,
        client_name="hustlex",
        parser_class=_Verbatim,
        retry=Retry(NoBackoff(), 0),
        socket_connect_timeout=_CONNECT_S,
        socket_timeout=_COMMAND_S,
        **place,
    )


def _decode(op: Op[T], reply: Any) -> T:
    try:
        return op.decode(reply)
    except Error as error:
        raise error.during(op.name) from None
    except (TypeError, ValueError, LookupError, AttributeError) as error:
        raise bad_reply(op.name, error) from error
