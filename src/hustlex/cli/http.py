"""``hustlex api``: serve a backend's ASGI application."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated

import typer

from hustlex.cli.backend import load_app
from hustlex.cli.ports import check_free
from hustlex.cli.serving import frozen, heads, lingering, proxies, without_documentation
from hustlex.core.extras import require
from hustlex.environment import freezes_gc, in_production

_GRACE_SECONDS = 5


def api(
    module: Annotated[str, typer.Argument(help="The module that defines `app`, as examples.gigs")],
    host: Annotated[str, typer.Option(help="Address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on")] = 8000,
    proxy_headers: Annotated[
        bool, typer.Option("--proxy-headers", help="Believe X-Forwarded-For and X-Forwarded-Proto of a proxy")
    ] = False,
    forwarded_allow_ips: Annotated[
        list[str] | None,
        typer.Option(help="With --proxy-headers: the proxies' addresses or networks, repeatable; default 127.0.0.1"),
    ] = None,
    docs: Annotated[
        bool | None, typer.Option("--docs/--no-docs", help="Serve /docs and /openapi.json; default: not in production")
    ] = None,
    header_timeout: Annotated[float, typer.Option(min=0.1, max=600, help="Seconds for a request's headers")] = 10.0,
    keep_alive: Annotated[int, typer.Option(min=0, max=600, help="Seconds an idle connection is kept")] = 5,
    limit_concurrency: Annotated[
        int, typer.Option(min=1, max=1_000_000, help="Connections at once, event streams included; more get 503")
    ] = 1000,
    drain: Annotated[
        float, typer.Option(min=0, max=600, help="Seconds to serve on after SIGTERM, until a proxy sends here no more")
    ] = 0.0,
) -> None:
    """Serve the `app` of MODULE over HTTP until SIGTERM or Ctrl-C.

    Bodies may come slowly and TLS is not spoken: put a proxy in front of it, see docs/guides/deployment.md.
    Example: hustlex api examples.gigs --port 8000
    """
    require("hustlex api", "web", "uvicorn", "fastapi")
    import uvicorn

    from hustlex.web.rights import end_within

    server = lingering(frozen(uvicorn.Server) if freezes_gc() else uvicorn.Server, drain, end_within)
    trusted = proxies(proxy_headers, forwarded_allow_ips)
    check_free(host, port)
    application = load_app(module)
    if not (docs if docs is not None else not in_production()):
        without_documentation(application)
    config = uvicorn.Config(
        application,
        host=host,
        port=port,
        log_level="warning",
        proxy_headers=proxy_headers,
        forwarded_allow_ips=trusted,
        server_header=False,
        limit_concurrency=limit_concurrency,
        timeout_keep_alive=keep_alive,
        timeout_graceful_shutdown=_GRACE_SECONDS,
        **heads(header_timeout),
    )
    with suppress(KeyboardInterrupt):  # Ctrl-C, raised again when all is put away
        server(config).run()
