"""``hustlex dashboard``: the web console by itself, closed to whom has no token, or does not come through its proxy."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from hustlex.cli.acts import typist
from hustlex.cli.backend import load_attribute
from hustlex.cli.client import CacheUrl, Prefix, Url
from hustlex.cli.ports import check_free
from hustlex.cli.serving import heads
from hustlex.cli.values import me
from hustlex.core import check, private
from hustlex.core.extras import require
from hustlex.errors import ConfigurationError
from hustlex.people.notes import entry, note
from hustlex.settings import Settings, load_settings

if TYPE_CHECKING:
    from hustlex.app import HustleX
    from hustlex.dashboard import BehindProxy

_PATIENCE = timedelta(seconds=5)
_GRACE_SECONDS = 3
_MOST_HEADER_BYTES = 64 * 1024
"""A proxy that signs people in sends long cookies."""
_Who = tuple[Literal["read", "act"], str, bool]
"""Level, name, and whether what is hidden may be asked for."""


def dashboard(
    url: Url = None,
    cache_url: CacheUrl = None,
    prefix: Prefix = None,
    host: Annotated[str, typer.Option(help="Address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on")] = 8100,
    allow_host: Annotated[
        list[str] | None, typer.Option(help="A name under which it is reached, as ops.example:443; repeatable")
    ] = None,
    title: Annotated[str, typer.Option(help="What stands on every page")] = "hustlex",
    level: Annotated[Literal["read", "act"], typer.Option(help="What the printed token allows")] = "act",
    name: Annotated[str | None, typer.Option(help="Who signs in with it, for the audit; default: you")] = None,
    token: Annotated[bool, typer.Option("--token", help="Print a sign-in link and start nothing")] = False,
    token_file: Annotated[Path | None, typer.Option(help="Write the link to this file (mode 600), not here")] = None,
    reveal: Annotated[bool, typer.Option("--reveal", help="Who signs in may ask for what is hidden in a task")] = False,
    end: Annotated[
        str | None, typer.Option(metavar="NAME", help="Sign this name out everywhere, and start nothing")
    ] = None,
    rules: Annotated[
        Path | None, typer.Option(help="Limits of the application (.toml, .json), for the page of one person")
    ] = None,
    resend: Annotated[
        str | None, typer.Option(help="The application's function that sends a code again, as app.codes:send_again")
    ] = None,
    behind: Annotated[
        list[str] | None,
        typer.Option(metavar="ADDRESS", help="A proxy that signs people in, or its network; repeatable; no link then"),
    ] = None,
    may_act: Annotated[
        list[str] | None, typer.Option(metavar="WHO", help="Behind it: ada@example.com, or @example.com; repeatable")
    ] = None,
    may_read: Annotated[
        list[str] | None, typer.Option(metavar="WHO", help="The same, for who may look alone; repeatable")
    ] = None,
) -> None:
    """Serve the console until SIGTERM or Ctrl-C, and print a link that signs in once, within 15 minutes.

    It speaks no TLS: put a proxy in front of it where others reach it, see docs/guides/dashboard.md. Behind one that
    signs people in (--behind) nobody else gets in, and there is no link; its secret is HUSTLEX_CONSOLE_PROXY_SECRET.
    Example: hustlex dashboard --port 8100
    """
    require("hustlex dashboard", "dashboard", "uvicorn", "starlette", "jinja2")
    settings = load_settings(url=url, cache_url=cache_url, prefix=prefix)
    access = _proxied(settings, behind, may_act, may_read)
    if access and (token or token_file or name or reveal or end is not None):
        raise ConfigurationError("behind a proxy nobody signs in here", hint="leave out what is about links and names")
    if not token and end is None:
        check_free(host, port)
    names = allow_host or [f"{known}:{port}" for known in ("localhost", "127.0.0.1", "[::1]", host)]
    place = f"http://{'127.0.0.1' if host in ('0.0.0.0', '::') else host}:{port}"  # noqa: S104 - compared, not bound
    operator = (level, name or me(), reveal)
    sends = load_attribute(resend, "resend") if resend else None
    serve = _serve(settings, host, port, names, title, operator, place, token, token_file, end, rules, sends, access)
    with suppress(KeyboardInterrupt):
        asyncio.run(serve)


def _proxied(
    settings: Settings, behind: list[str] | None, acts: list[str] | None, reads: list[str] | None
) -> BehindProxy | None:
    from hustlex.dashboard import BehindProxy

    if not behind:
        if acts or reads:
            raise ConfigurationError("--may-act and --may-read work behind a proxy alone", hint="name it with --behind")
        return None
    if settings.console_proxy_secret is None:
        raise ConfigurationError(
            "HUSTLEX_CONSOLE_PROXY_SECRET is not set",
            hint="the proxy sends it in X-Proxy-Secret, 16 characters or more",
        )
    secret = settings.console_proxy_secret.get_secret_value()
    return BehindProxy(proxies=behind, secret=secret, acts=acts or (), reads=reads or ())


async def _serve(
    settings: Settings, host: str, port: int, names: list[str], title: str, who: _Who, place: str,
    only_token: bool, token_file: Path | None, end: str | None, rules: Path | None, resend: Any,
    access: BehindProxy | None,
) -> None:  # fmt: skip
    import uvicorn

    from hustlex.app import HustleX
    from hustlex.dashboard import Dashboard, Operator
    from hustlex.ratelimit import Rulebook

    async with HustleX(
        settings.url, cache_url=settings.cache_url, prefix=settings.prefix, timeout=_PATIENCE, strict_memory=False,
        **settings.secrets(),
    ) as hx:  # fmt: skip
        limits = Rulebook(rules) if rules else ()
        console = Dashboard(hx, access=access, title=title, hosts=names, rules=limits, resend=resend)
        if end is not None:
            await _noted(hx, "sign out", f"name={check.text('--end', end)}")
            await console.end_sessions(end)
            print(f"{end} is signed out of every console of this server")
            return
        if access:
            print(f"the console is at {place}, for who comes through its proxy", flush=True)
        else:
            level, name, reveal = who
            operator = Operator(level, name, reveal=reveal)
            await _noted(hx, "let in", f"name={name} level={level}{' reveal=yes' if reveal else ''}")
            link = f"{place}/enter#{await console.sign_in_token(operator)}"
            _hand_over(link, token_file)
            if only_token:
                return
        # uvicorn believes X-Forwarded-For of this machine by default: a proxy is known by its socket.
        config = uvicorn.Config(
            _spoken(console), host=host, port=port, log_level="warning", server_header=False,
            timeout_graceful_shutdown=_GRACE_SECONDS, proxy_headers=access is None,
            **heads(most=_MOST_HEADER_BYTES),
        )  # fmt: skip
        await uvicorn.Server(config).serve()


async def _noted(hx: HustleX, verb: str, target: str) -> None:
    """Before it is done: what cannot be written down is not done."""
    await hx.driver.run(note(hx.prefix, entry(typist(), "cli", "done", verb, target)))


def _spoken(console: Any) -> Any:
    """The console for a server that asks about a lifespan: it has none."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await console(scope, receive, send)

    return app


def _hand_over(link: str, token_file: Path | None) -> None:
    if token_file is None:
        print(f"sign in, once and within 15 minutes: {link}", flush=True)
    else:
        private.write(token_file, link + "\n")
        print(f"the sign-in link is in {token_file}", flush=True)
