"""Random names, drawn where a call starts."""

from __future__ import annotations

import secrets
import uuid


def new_id() -> str:
    """A task id: UUIDv4 text, as Asynq makes it."""
    return str(uuid.uuid4())


def new_token() -> str:
    """Names one enqueue call, so that the server knows it when it is repeated: 12 characters, 72 bits."""
    return secrets.token_urlsafe(9)
