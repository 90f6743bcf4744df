"""The one place where broken links and server refusals become this package's errors, and where a repeat is decided.

Both drivers ask ``verdict``; the table is:

    never sent, or refused without executing      repeat (all effects)
    sent, link lost before the reply              READ, IDEMPOTENT: repeat; ONCE: OutcomeUnknown
    sent, deadline passed                         READ, IDEMPOTENT: Timeout; ONCE: OutcomeUnknown
    any other refusal                             raise

A refusal in WRONG_SERVER also says that the connection leads to the wrong place: the drivers dial anew, then repeat.
"""

from __future__ import annotations

import re
import ssl
from random import random
from typing import TypeVar

from hustlex.core.logs import logger
from hustlex.core.op import Effect, Op, Reply
from hustlex.core.printable import printable
from hustlex.drivers.url import Endpoint
from hustlex.errors import (
    BadReply,
    Closed,
    ConfigurationError,
    Denied,
    Error,
    Full,
    Misuse,
    OutcomeUnknown,
    Refused,
    Timeout,
    Unavailable,
)

T = TypeVar("T")

WRONG_SERVER = frozenset(
    {"READONLY", "LOADING", "MASTERDOWN", "CLUSTERDOWN", "NOREPLICAS", "MOVED", "UNBLOCKED", "NOTPRIMARY"}
)
"""First words of refusals after which the same address may lead to another server: a replica, one that is being
filled, one cut off from the others. No repetition on the same connection would ever change them."""

_CROWDED = "MAXCLIENTS"
"""Ours; the server says ERR to that as to everything."""

NOT_EXECUTED = WRONG_SERVER | {"ASK", "TRYAGAIN", "BUSY", "NOSCRIPT", _CROWDED}
"""First words of refusals that left nothing behind and may pass by themselves."""

SETTLED_S = 0.2
"""A connection younger than this is kept whatever the server says: a state that no dialling changes costs 5 dials a
second, not thousands."""
LOOK_S = 5.0
"""How often a connection in use is asked for the server's role; reads are answered by a replica without a word."""

SILENT_S = 0.9
"""A server that is only slow answers somebody in this time."""

MOST_DETOURS = 5
"""Answers that name another node are followed at once so many times, then with a pause before each."""

_DENIED = {
    "NOAUTH": "the server wants a password; put it in the URL: redis://user:password@host:port",
    "WRONGPASS": "the user name or password in the URL is wrong",
    "NOPERM": "the ACL user may not run this: hustlex doctor --acl prints the rights that each room needs",
}
_FULL = "raise maxmemory, or free memory; the state server wants maxmemory-policy noeviction"
_CLUSTERED = "the server is part of a cluster, and another one holds this key; use redis+cluster:// in its URL"
_HINTS = {
    "MISCONF": "the server cannot save to disk; look at its log",
    "NOREPLICAS": "too few replicas are connected for min-replicas-to-write",
    "WRONGTYPE": "a key of this name holds another type; do two applications share a prefix?",
    "READONLY": "this server is a replica; use the primary's URL",
    "MOVED": _CLUSTERED,
    "ASK": _CLUSTERED,
    "LOADING": "the server is still reading its data from disk",
    "BUSY": "a script has been running too long on the server",
}


_UNKNOWN_AUTHORITY = "cannot be verified", "name its authority: ?ssl_ca_certs=/path/to/ca.pem"
_ELSEWHERE = "is for another host", "connect by a name that the certificate holds"
_CERTIFICATES = {
    9: ("is not valid yet", "look at the clocks of both machines"),
    10: ("has expired", "renew it on the server"),
    62: _ELSEWHERE,
    64: _ELSEWHERE,
}
"""By OpenSSL's verify code."""
_NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "UNKNOWN_PROTOCOL")


_REDIRECTION = re.compile(r"(?:MOVED|ASK) ([0-9]{1,5}) (\S*):([0-9]{1,5})")
"""The port stands after the last colon: an IPv6 address is not in brackets."""

_NO_HELLO = re.compile(r"^NOPROTO|unknown command|unsupported|not supported|invalid request", re.IGNORECASE)
"""What servers before RESP3 and proxies say to it."""

_LACKING = re.compile(r"permissions to run the '([a-z][a-z|_-]{0,40})' command")
_OUTDATED = re.compile(rb"[0-6]\.")
"""Versions whose Lua lacks what scripts need. The first Valkey calls itself 7.2."""

_PROTOCOL = 3
FOREIGN = "what answers there does not speak the Redis protocol"


_log = logger("hustlex.drivers")
_HALF_NAMED = (
    "is part of a cluster, and the URL says redis://: processes that say redis+cluster:// hear none of the events of "
    "this one, nor it theirs; use redis+cluster:// in all of them"
)
_half_named: set[str] = set()


class Redirected(Refused):
    """MOVED, or ASK for this call alone: another node of the cluster has the slot. host: "" for the same one's."""

    slot = 0
    host = ""
    port = 0


class NotSent(Exception):
    """The call never left this process."""


class Lost(Exception):
    """The call was sent and the link broke before its reply."""


class Late(Exception):
    """The call was sent and its deadline passed before its reply. silent: nor came any other reply in that time."""

    silent = False


Failure = NotSent | Lost | Late | Refused


def misplaced(failure: object) -> bool:
    """Whether an answer says that this is not, or not any more, the server to ask."""
    return isinstance(failure, Refused) and failure.server_code in WRONG_SERVER


def scriptless(failure: object) -> bool:
    """Whether the server only lacks the script's text."""
    return isinstance(failure, Refused) and failure.server_code == "NOSCRIPT"


def greets(hello: object) -> bool:
    """Whether this is an answer to HELLO 3. To take another for one is to believe that a password was given."""
    return isinstance(hello, dict) and hello.get(b"proto") == _PROTOCOL


def demoted(hello: object) -> Refused | None:
    """What to think of HELLO's answer: a replica is not the server to ask."""
    if isinstance(hello, dict) and hello.get(b"role") == b"replica":
        return refusal("READONLY this server is a replica")
    return None


def alone(hello: object) -> bool:
    """Whether the server that greets is no part of a cluster."""
    return isinstance(hello, dict) and hello.get(b"mode") == b"standalone"


def unfit(hello: object, endpoint: Endpoint) -> Error | None:
    """What to raise when the server that greets is not of the kind that the URL says, or a replica."""
    mode = hello.get(b"mode") if isinstance(hello, dict) else None
    if mode == b"standalone" and endpoint.mode == "cluster":
        return ConfigurationError(f"{endpoint.where} is no part of a cluster", hint="use redis:// for a single server")
    if mode == b"sentinel" and endpoint.mode != "sentinel":
        hint = "use redis+sentinel://host:26379/name in the URL"
        return ConfigurationError(f"{endpoint.where} is a Sentinel and holds no data", hint=hint)
    if mode not in (None, b"sentinel") and endpoint.mode == "sentinel":
        hint = "name the Sentinels in the URL; their usual port is 26379"
        return ConfigurationError(f"{endpoint.where} is no Sentinel", hint=hint)
    if (error := outdated(hello, endpoint)) is not None:
        return error
    return None if endpoint.seed else demoted(hello)


def warn_of_half_a_name(hello: object, endpoint: Endpoint) -> None:
    """Once of each address: it leads to a part of a cluster, and does not say so."""
    clustered = isinstance(hello, dict) and hello.get(b"mode") == b"cluster"
    if clustered and not endpoint.mode and endpoint.where not in _half_named:
        _half_named.add(endpoint.where)
        _log.warning("%s %s", endpoint.where, _HALF_NAMED)


def outdated(hello: object, endpoint: Endpoint) -> ConfigurationError | None:
    """What to think of a server that is too old. Sentinels hold no data and run no script."""
    version = hello.get(b"version") if isinstance(hello, dict) and endpoint.mode != "sentinel" else None
    if not isinstance(version, bytes) or not _OUTDATED.match(version):
        return None
    found = printable(version.decode(errors="replace"))
    return ConfigurationError(f"{endpoint.where} is Redis {found}", hint="Redis 7.0, Valkey 7.2 or newer is needed")


def only_reads(name: str, effect: Effect) -> None:
    """Raises Misuse for a write where replicas are read from."""
    if effect is not Effect.READ:
        raise Misuse("this driver reads from replicas and writes nothing", op=name, hint="use one without read_from")


def nameless(service: str) -> ConfigurationError:
    """No Sentinel knows what the URL calls the server."""
    hint = "it is the word after 'sentinel monitor' in their configuration"
    return ConfigurationError(f"the Sentinels watch no server of the name {printable(service)}", hint=hint)


def anew(error: Refused) -> Refused:
    """The same once more, for another caller."""
    again = type(error)(error.message, server_code=error.server_code, hint=error.hint)
    if isinstance(error, Redirected) and isinstance(again, Redirected):
        again.slot, again.host, again.port = error.slot, error.host, error.port
    return again


def verdict(failure: Failure, effect: Effect) -> Error | None:
    """What to raise, or None: repeat the call."""
    if isinstance(failure, NotSent):
        return None
    if isinstance(failure, Refused):
        return None if failure.server_code in NOT_EXECUTED else failure
    if effect is Effect.ONCE:
        return OutcomeUnknown(
            "the reply was lost, the call may have been executed", hint="check the state before repeating it"
        )
    return None if isinstance(failure, Lost) else Timeout("no reply before the deadline", hint="try again")


def exhausted(failure: Failure, where: str) -> Error:
    """The error once the deadline forbids another try."""
    if isinstance(failure, Refused):
        return failure
    reason = str(failure) or "no reply"
    return Unavailable(f"cannot reach the server at {where}: {reason}", hint="is it running, and is the URL right?")


def unable(word: str, answer: str) -> Error:
    """What to raise when a server refuses to wait for its disk."""
    code = answer.split(" ", 1)[0]
    if code in _DENIED or code in NOT_EXECUTED:
        return refusal(answer)
    if "appendonly" in answer:
        hint = "set appendonly yes, or ask for replica"
        return ConfigurationError(f"durability {word}: the server keeps no append-only file", hint=hint)
    return ConfigurationError(f"durability {word}: the server knows no WAITAOF", hint="use Redis 7.2, or Valkey")


def hasty(word: str) -> ConfigurationError:
    """What to raise when a server says that its disk has what it has not, see ``core.durability.level.exact``."""
    return ConfigurationError(
        f"durability {word}: this server answers WAITAOF too early, unless each write is forced to the disk",
        hint="set appendfsync always, and let this user run CONFIG GET; or use Redis 8",
    )


def refusal(text: str) -> Refused:
    """A server's error line as an exception. Only its first word is trusted to be free of user data."""
    code = text.split(" ", 1)[0]
    if code in _DENIED:
        lacking = _LACKING.search(text) if code == "NOPERM" else None
        rule = f"; here +{lacking[1]} is missing" if lacking is not None else ""
        return Denied(f"the server refused ({code})", server_code=code, hint=_DENIED[code] + rule)
    if code == "OOM":
        return Full("the server's memory is full (OOM)", server_code=code, hint=_FULL)
    message, hint = f"the server refused: {_harmless(text)}", _HINTS.get(code, "")
    if found := _REDIRECTION.fullmatch(text):
        redirected = Redirected(message, server_code=code, hint=hint)
        redirected.slot, redirected.host, redirected.port = int(found[1]), found[2].strip("[]"), int(found[3])
        return redirected
    return Refused(message, server_code=code, hint=hint)


def greeting(text: str, endpoint: Endpoint) -> Error:
    """A refusal of the handshake as an exception."""
    code = text.split(" ", 1)[0]
    if endpoint.mode == "sentinel" and code in ("NOAUTH", "WRONGPASS"):
        hint = "Sentinels have a password of their own, ?sentinel_password=; their usual port is 26379"
        return Denied(f"{endpoint.where}, asked as a Sentinel, refused ({code})", server_code=code, hint=hint)
    if "max number of clients" in text:
        return Refused(
            "the server has no connection left for us (maxclients)",
            server_code=_CROWDED,
            hint="raise its maxclients, or run fewer processes",
        )
    if _NO_HELLO.search(text):
        hint = "Redis 7, Valkey 7.2 and newer take it; an old proxy does not: connect past it"
        return ConfigurationError("the server, or a proxy before it, refuses HELLO 3 (RESP3)", hint=hint)
    if "DB index" in text or "SELECT is not allowed" in text:
        return ConfigurationError(
            "the server has no database of the URL's number", hint="use database 0; a cluster has no other"
        )
    return refusal(text)


def closed() -> Closed:
    """Of every call once ``close`` was called: a connection that nobody closes would be opened."""
    return Closed("the driver is closed", hint="make the call inside the 'with' block of its HustleX, or make another")


def decoded(op: Op[T], reply: Reply) -> T:
    """The answer. Raises what the decoder says, with the operation's name, or BadReply."""
    try:
        return op.decode(reply)
    except Error as error:
        raise error.during(op.name) from None
    except (TypeError, ValueError, LookupError, AttributeError) as error:
        raise bad_reply(op.name, error) from error


def bad_reply(op: str, reason: Exception) -> BadReply:
    """A decoder that failed on a reply: our contract and the server disagree."""
    return BadReply(
        f"the reply has an unexpected shape ({type(reason).__name__})",
        op=op,
        hint="this is a fault in hustlex; please report it",
    )


def backoff(attempt: int) -> float:
    """Seconds before the attempt after number ``attempt`` (from 1): full jitter up to 10 ms * 2^n, at most 1 s."""
    return random() * min(1.0, 0.01 * (1 << min(attempt, 10)))


def link_failure(error: Exception) -> str:
    """Why a connection could not be opened, without the addresses and users that some errors carry.

    Raises ConfigurationError for what no repetition will change: a certificate that does not do.
    """
    if isinstance(error.__context__, OSError):  # redis-py wraps it in its own, with the address in the text
        error = error.__context__
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, ssl.SSLCertVerificationError):
        what, hint = _CERTIFICATES.get(error.verify_code, _UNKNOWN_AUTHORITY)
        raise ConfigurationError(f"the server's certificate {what}", hint=hint) from None
    if isinstance(error, ssl.SSLError) and error.reason in _NO_TLS:
        raise ConfigurationError(
            "what answers at the server's address does not speak TLS", hint="use redis://, or its TLS port"
        ) from None
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__


def _harmless(text: str) -> str:
    """Up to the first quoted, listed or bracketed part: arguments and keys only ever come after it."""
    return re.split(r"['\",`\[]", text, maxsplit=1)[0][:100].strip()


def copied(failure: NotSent | Lost | Late | Error) -> NotSent | Lost | Late | Error:
    """For each operation one of its own, since it will be told of that operation."""
    if isinstance(failure, Refused):
        return anew(failure)
    return type(failure)(failure.message, hint=failure.hint) if isinstance(failure, Error) else failure
