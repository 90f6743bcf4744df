"""What a process is told from outside: environment variables that start with ``HUSTLEX_``, or a ``.env`` file."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal, TypedDict

from dotenv.parser import parse_stream
from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from hustlex.core import check
from hustlex.core.keyring import Keyring
from hustlex.errors import ConfigurationError, Misuse

__all__ = ["Keyring", "Secrets", "Settings", "load_settings"]

_WHERE = "see docs/reference/settings.md"
_SHORTEST_SHARED = 16
RESERVED = r"^reserved:[1-9][0-9]{0,3}$"
Weight = Annotated[int, Field(strict=True, ge=1, le=1000)]


class Secrets(TypedDict):
    """Arguments of a front. Do not log it."""

    secret: str | None
    old_secrets: tuple[str, ...]
    reference_secret: str | None


class Settings(BaseSettings):
    """Read once at the door by ``load_settings``; handed on as plain arguments."""

    model_config = SettingsConfigDict(env_prefix="HUSTLEX_", env_file=".env", extra="ignore", frozen=True)

    url: str = Field("redis://127.0.0.1:6379/0", description="The state server: redis://, rediss:// or unix://.")
    cache_url: str | None = Field(None, description="A second server for the cache; unset: the state server.")
    secret: SecretStr | None = Field(
        None,
        description="Root of every derived key, at least 32 bytes; needed for codes, tokens, idempotency, PINs.",
    )
    old_secrets: tuple[SecretStr, ...] = Field(
        (), description="Other secrets whose codes, tokens and seals are still good, as a JSON list."
    )
    reference_secret: SecretStr | None = Field(
        None,
        description="With old secrets: the first secret there ever was; names in Redis come from it.",
    )
    prefix: str = Field("", description="Put before every key but those of the jobs.")
    env: Literal["development", "test", "production"] = Field(
        "development",
        description="production refuses the embedded server, the console sender, and a server that may evict keys.",
    )
    queues: dict[str, Weight | Annotated[str, Field(pattern=RESERVED)]] = Field(
        {"critical": 6, "default": 3, "low": 1},
        min_length=1,
        description='Queue names and weights, as JSON; `"reserved:6"` in place of a weight keeps 6 slots for a queue.',
    )
    console_proxy_secret: SecretStr | None = Field(
        None,
        description="What a proxy in front of `hustlex dashboard --behind` sends in X-Proxy-Secret; "
        "16 visible characters or more.",
    )
    concurrency: int = Field(100, ge=1, le=10_000, description="Jobs running at once in one worker process.")
    processes: int = Field(
        1, ge=0, le=256, description="Processes of one `hustlex worker`; 0: as many as this machine has cores."
    )
    shutdown_timeout_s: float = Field(
        8.0, ge=0, le=600, description="Seconds that running jobs get to finish when a worker stops."
    )

    freeze_gc: bool = Field(
        True,
        description="Whether `hustlex api` and workers leave what their start has made out of garbage collections.",
    )
    metrics_dir: str | None = Field(
        None,
        min_length=1,
        description="Where the processes of one service share their metrics: a directory of this machine, empty at the "
        "start; unset: each tells of itself alone.",
    )

    trace_calls: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Where traces are told: the share of calls to the server with a span of their own.",
    )
    trace_parent: Literal["soon", "always", "never"] = Field(
        "soon",
        description="Which attempts of a task stand in the trace of the enqueue; soon: where it was to run at once.",
    )

    def secrets(self) -> Secrets:
        """What a front takes of them: ``HustleX(settings.url, **settings.secrets())``."""
        secret, reference = self.secret, self.reference_secret
        return {
            "secret": secret.get_secret_value() if secret else None,
            "old_secrets": tuple(old.get_secret_value() for old in self.old_secrets),
            "reference_secret": reference.get_secret_value() if reference else None,
        }


def load_settings(**given: object) -> Settings:
    """The settings, with ``given`` values (those not None) above the environment.

    Raises ConfigurationError, which names the variable, and never shows what was in it.
    """
    kept = {name: value for name, value in given.items() if value is not None}
    try:
        _judge_lines(Path(".env"))
        settings = Settings(**kept)  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        name = str(first["loc"][0]) if first["loc"] else ""
        raise ConfigurationError(f"{_variable(name)}: {first['msg']}", hint=_WHERE) from None
    except SettingsError as error:  # a list or mapping that is no JSON; its cause holds the text, which may be a secret
        found = re.search(r'field "(\w+)"', str(error))
        raise ConfigurationError(f"{_variable(found[1] if found else '')} is not JSON", hint=_WHERE) from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigurationError(f".env is not UTF-8, in line {line}", hint="save it as UTF-8") from None
    except OSError as error:
        raise ConfigurationError(f"cannot read .env: {error.strerror}", hint="make it readable, or remove it") from None
    _judge_prefix(settings.prefix)
    _judge_secrets(settings)
    return settings


def _judge_lines(path: Path) -> None:
    """A line that cannot be read is left out by the reader: the default in its place would be believed."""
    if not path.is_file():
        return
    with path.open(encoding="utf-8") as file:
        for line in parse_stream(file):
            if line.error and "HUSTLEX_" in line.original.string.upper():
                raise ConfigurationError(f".env cannot be read in line {line.original.line}", hint="does a quote end?")


def _variable(name: str) -> str:
    return f"HUSTLEX_{name.upper()}"


def _judge_prefix(prefix: str) -> None:
    _fitting(lambda: check.text(_variable("prefix"), prefix, blank=True))
    if "{" in prefix or "}" in prefix:
        raise ConfigurationError(f"{_variable('prefix')} holds a brace", hint="braces choose a cluster's slot")


def _judge_secrets(settings: Settings) -> None:
    """Each by itself, so that an error can name its variable; then all together, as a front takes them."""
    if (proxys := settings.console_proxy_secret) is not None:
        _fitting(lambda: check.secret(_variable("console_proxy_secret"), proxys.get_secret_value(), _SHORTEST_SHARED))
    given = settings.secrets()
    for name in ("secret", "old_secrets", "reference_secret"):
        value = given[name]
        for one in value if isinstance(value, tuple) else (value,):
            if one is not None:
                _naming(name, lambda one=one: Keyring(one))  # type: ignore[misc]
    secret, old, reference = given["secret"], given["old_secrets"], given["reference_secret"]
    if secret is not None:
        _naming("old_secrets", lambda: Keyring(secret, old=old, reference=reference))


def _fitting(judge: Callable[[], object]) -> None:
    try:
        judge()
    except Misuse as error:
        raise ConfigurationError(error.message, hint=error.hint) from None


def _naming(name: str, judge: Callable[[], object]) -> None:
    try:
        judge()
    except ConfigurationError as error:
        raise ConfigurationError(f"{_variable(name)}: {error.message}", hint=error.hint) from None
