"""What the gigs backend is told from outside; the Redis side reads ``HUSTLEX_*`` (docs/reference/settings.md)."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class GigsSettings(BaseSettings):
    """Environment variables start with ``GIGS_``."""

    model_config = SettingsConfigDict(env_prefix="GIGS_", frozen=True)

    database_url: str = Field(default="", description="SQLAlchemy URL; empty: an SQLite file in the data directory.")
    data: Path = Field(default=Path(".hustlex"), validation_alias="HUSTLEX_DATA", description="Where files go.")
    sms_gateway: str = Field(default="", description="POST messages here; empty: the console sender.")
    welcome_kobo: int = Field(default=5_000_000, ge=0, description="What a new wallet holds.")

    @property
    def database(self) -> str:
        """The SQLAlchemy URL to open."""
        return self.database_url or f"sqlite+aiosqlite:///{self.data / 'gigs.db'}"

    @property
    def outbox(self) -> Path:
        """Where the console sender writes messages, one JSON object a line."""
        return self.data / "outbox.jsonl"
