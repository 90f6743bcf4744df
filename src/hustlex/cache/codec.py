"""Values to entries and back: JSON, typed and strict, with the type's fingerprint in every frame.

Types: what msgspec knows (structs, dataclasses, Decimal, UUID, enums) and pydantic models. What would not come back as
it is, as NaN, a SecretStr or the fields of a subclass, is refused when it is stored.
"""

from __future__ import annotations

import json
import zlib
from typing import Any, Generic, TypeVar

import msgspec

from hustlex.cache import frame
from hustlex.cache.frame import NEGATIVE_BODY, BadFrame, EntryFrame, Tags
from hustlex.cache.near import immutable
from hustlex.cache.policy import CachePolicy
from hustlex.core.codec import Decoder, change, decoder, dumps, fault, refusal
from hustlex.errors import Misuse

V = TypeVar("V")

_CODEC = "json"
_VALUE = "the value"


_HINT = "cache msgspec Structs, dataclasses, pydantic models or plain JSON values"
_ANOTHER = "the value is not of the cache's type"
_RETURN = "return the declared type, or None"


class DecodedEntry(msgspec.Struct, Generic[V], frozen=True):
    """A decoded entry. frame: its times are 0 in format "plain", where only the server knows."""

    value: V | None
    frame: EntryFrame

    @property
    def body(self) -> bytes:
        return self.frame.body


class ValueCodec(Generic[V]):
    """For one type. A changed type, or schema_version, has another fingerprint: old entries are misses.

    Raises Misuse for a type that has no JSON schema.
    """

    def __init__(self, value_type: Any, policy: CachePolicy) -> None:
        self._plain = policy.form == "plain"
        self.fingerprint = _fingerprint(value_type, policy.schema_version, policy.extra_ms)
        self.start = frame.start(self.fingerprint)
        self._compress_over = policy.compress_over
        self.immutable = bool(policy.near_ms) and immutable(value_type)
        """Whether callers may have one object."""
        try:
            self._decoder: Decoder = decoder(value_type)
        except TypeError as error:
            raise Misuse(f"this type cannot be cached: {error}", hint=_HINT) from None
        self._encoder = msgspec.json.Encoder(enc_hook=_written)

    def encode(self, value: V | None) -> bytes:
        """The body. Raises Misuse when the value cannot be JSON; the message never shows it."""
        try:
            return self._encoder.encode(value)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise Misuse(
                f"a {type(value).__name__} cannot be cached: {refusal(value, error, _VALUE)}", hint=_HINT
            ) from None

    def write(self, value: V | None) -> tuple[V | None, bytes]:
        """The value as every later hit will give it, and its body. Raises Misuse where they would differ."""
        body = self.encode(value)
        try:
            copied = self.decode(body)
        except (ValueError, RecursionError):
            raise Misuse(fault(value, _VALUE) or _ANOTHER, hint=_RETURN) from None
        changed = change(value, copied, _VALUE)
        if changed is not None:
            raise Misuse(fault(value, _VALUE) or f"{changed} would not come back from the cache as it is", hint=_RETURN)
        return copied, body

    def decode(self, body: bytes) -> V | None:
        """Raises ValueError for a body that is not of this type; None is of every type."""
        return None if body == NEGATIVE_BODY else self._decoder.decode(body)

    def copy(self, body: bytes) -> V | None:
        """Another object of what was written."""
        try:
            return self.decode(body)
        except (ValueError, RecursionError):
            raise Misuse(_ANOTHER, hint=_RETURN) from None

    def pack(self, body: bytes, fresh_ms: int, delta_ms: int, tags: Tags = (), version: int = 0) -> bytes:
        """What to store."""
        if self._plain:
            return body
        return frame.pack(
            body,
            fingerprint=self.fingerprint,
            fresh_ms=fresh_ms,
            delta_ms=delta_ms,
            compress_over=self._compress_over,
            tags=tags,
            version=version,
        )

    def open(self, raw: bytes) -> EntryFrame | BadFrame:
        """What was stored, its body not decoded yet."""
        return EntryFrame(0, 0, raw) if self._plain else frame.unpack(raw, self.fingerprint)

    def read(self, found: EntryFrame) -> DecodedEntry[V] | BadFrame:
        """The entry with its value."""
        try:
            return DecodedEntry(self.decode(found.body), found)
        except Exception:  # noqa: BLE001 - the type's own hooks run in here; an unreadable entry is a miss
            return BadFrame("body")


def _written(value: Any) -> msgspec.Raw:
    if isinstance(value, msgspec.Raw):  # written already, and still asked for: it is a dict's key
        raise TypeError("keys of a dict must be text or numbers")
    return msgspec.Raw(dumps(value))


def _fingerprint(value_type: Any, schema_version: int, extra_ms: int) -> int:
    """extra_ms counts: an entry's age is known by what is left of its life and of this."""
    try:
        schema = msgspec.json.schema(value_type, schema_hook=_model_schema)
    except Exception as error:  # noqa: BLE001 - pydantic has its own, for models that are not complete
        raise Misuse(f"this type cannot be cached: {error}", hint=_HINT) from None
    canonical = json.dumps(_without_prose(schema), sort_keys=True, default=str)
    extra = f"\n{extra_ms}" if extra_ms else ""
    return zlib.crc32(f"{_CODEC}\n{canonical}\n{schema_version}{extra}".encode())


def _model_schema(kind: Any) -> Any:
    if not hasattr(kind, "model_json_schema"):
        raise TypeError(f"{getattr(kind, '__name__', kind)} cannot be written as JSON")
    return kind.model_json_schema()


def _without_prose(node: Any) -> Any:
    """A schema without its docstrings: rewording one must not empty a cache."""
    if isinstance(node, dict):
        return {
            key: _without_prose(value)
            for key, value in node.items()
            if not (key == "description" and isinstance(value, str))
        }
    return [_without_prose(item) for item in node] if isinstance(node, list) else node
