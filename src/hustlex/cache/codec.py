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
from hustlex.cache.frame import NEGATIVE_BODY, BadFrame
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
    """A decoded entry. created_ms, fresh_ms: 0 in format "plain", where only the server knows."""

    value: V | None
    body: bytes
    created_ms: int
    fresh_ms: int


class ValueCodec(Generic[V]):
    """For one type. A changed type, or schema_version, has another fingerprint: old entries are misses.

    Raises Misuse for a type that has no JSON schema.
    """

    def __init__(self, value_type: Any, policy: CachePolicy) -> None:
        self._plain = policy.form == "plain"
        self.fingerprint = _fingerprint(value_type, policy.schema_version)
        self._compress_over = policy.compress_over
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

    def pack(self, body: bytes, fresh_ms: int, delta_ms: int) -> bytes:
        """What to store."""
        if self._plain:
            return body
        return frame.pack(
            body, fingerprint=self.fingerprint, fresh_ms=fresh_ms, delta_ms=delta_ms, compress_over=self._compress_over
        )

    def read(self, raw: bytes, now_ms: int) -> DecodedEntry[V] | BadFrame:
        """now_ms: 0 leaves the judgement of freshness to the server's own expiry."""
        if self._plain:
            return self._reading(raw, 0, 0)
        found = frame.unpack(raw, self.fingerprint)
        if isinstance(found, BadFrame):
            return found
        if found.fresh_ms == 0 or (now_ms and now_ms >= found.created_ms + found.fresh_ms):
            return BadFrame("expired")
        return self._reading(found.body, found.created_ms, found.fresh_ms)

    def _reading(self, body: bytes, created_ms: int, fresh_ms: int) -> DecodedEntry[V] | BadFrame:
        try:
            return DecodedEntry(self.decode(body), body, created_ms, fresh_ms)
        except Exception:  # noqa: BLE001 - the type's own hooks run in here; an unreadable entry is a miss
            return BadFrame("body")


def _written(value: Any) -> msgspec.Raw:
    if isinstance(value, msgspec.Raw):  # written already, and still asked for: it is a dict's key
        raise TypeError("keys of a dict must be text or numbers")
    return msgspec.Raw(dumps(value))


def _fingerprint(value_type: Any, schema_version: int) -> int:
    try:
        schema = msgspec.json.schema(value_type, schema_hook=_model_schema)
    except Exception as error:  # noqa: BLE001 - pydantic has its own, for models that are not complete
        raise Misuse(f"this type cannot be cached: {error}", hint=_HINT) from None
    canonical = json.dumps(_without_prose(schema), sort_keys=True, default=str)
    return zlib.crc32(f"{_CODEC}\n{canonical}\n{schema_version}".encode())


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
