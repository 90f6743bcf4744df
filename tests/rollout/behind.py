"""``make rollout THROUGH=nginx`` (or caddy): two APIs behind a real proxy with the file of deploy/.

They are restarted where they are, one after the other, as ``systemctl restart`` does it, while customers buy.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from hustlex.drivers.launch import tied
from hustlex.drivers.ports import free_port
from tests.rollout.balancer import Balancer
from tests.rollout.play import ROOT, Program

_OPTIONS = ("--keep-alive", "65", "--drain", "10", "--proxy-headers")
_NGINX = (
    "daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx.log; worker_processes 1; events {{}}\n"
    "http {{ access_log off; client_body_temp_path {folder}/a; proxy_temp_path {folder}/b;\n"
    "fastcgi_temp_path {folder}/c; uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;\n{text} }}\n"
)


def proxy(kind: str, folder: Path, port: int, ports: list[int]) -> subprocess.Popen[bytes]:
    """With the file of deploy/, other ports, and no TLS."""
    program = shutil.which(kind) or shutil.which(kind, path=Path(sys.executable).parent)
    if program is None:
        sys.exit(f"{kind} is not installed")
    if kind == "caddy":
        addresses = " ".join(f"127.0.0.1:{each}" for each in ports)
        environment = {"SITE": f"http://127.0.0.1:{port}", "API": addresses, "XDG_DATA_HOME": str(folder)}
        text = (ROOT / "deploy/caddy/Caddyfile").read_text("utf-8").replace("{$API:127.0.0.1:8000}", addresses)
        (folder / "Caddyfile").write_text("{\n\tadmin off\n}\n" + text)
        command = [program, "run", "--adapter", "caddyfile", "--config", str(folder / "Caddyfile")]
    else:
        environment = {}
        text = (ROOT / "deploy/nginx/backend.conf").read_text("utf-8")
        text = re.sub(r"^ +ssl_.*\n", "", text, flags=re.MULTILINE).replace("443 ssl http2", f"127.0.0.1:{port}")
        for known, other in zip(("8001", "8002"), ports, strict=True):
            text = text.replace(f"127.0.0.1:{known}", f"127.0.0.1:{other}")
        (folder / "nginx.conf").write_text(_NGINX.format(folder=folder, text=text))
        command = [program, "-c", str(folder / "nginx.conf")]
    log = (folder / f"{kind}.out").open("ab")
    with log:
        return subprocess.Popen(tied(command), env=os.environ | environment, stdout=log, stderr=log)


async def restarted(url: str, folder: Path, kind: str, rounds: int, customers: int) -> list[str]:
    """What customers saw."""
    ledger, front, apis = folder / "ledger", Balancer(), {free_port(): 1, free_port(): 1}
    ledger.touch()
    with ExitStack() as stack:
        running = {port: Program("api", 1, url, ledger, _OPTIONS, port) for port in apis}
        stack.callback(lambda: [each.process.kill() for each in running.values()])
        for port in running:
            await _answers(front, port)
        front.ports = [free_port()]
        through = proxy(kind, folder, front.ports[0], list(apis))
        stack.callback(through.kill)
        await _answers(front, front.ports[0], "POST", "/orders/0")
        over = asyncio.Event()
        buying = [asyncio.create_task(_buy(front, over, number)) for number in range(customers)]
        for version in range(2, rounds + 2):
            for port in apis:
                running[port].process.send_signal(signal.SIGTERM)
                await running[port].ended()
                running[port] = Program("api", version, url, ledger, _OPTIONS, port)
                await _answers(front, port)
        over.set()
        bought = await asyncio.gather(*buying)
        print(f"{sum(bought):,} orders through {kind}, {2 * rounds} restarts")
    front.close()
    return front.wrong


async def _buy(front: Balancer, over: asyncio.Event, customer: int) -> int:
    bought = 0
    while not over.is_set():
        bought += await front.post(f"/orders/{customer}-{bought}") is not None
        await asyncio.sleep(0.005)
    return bought


async def _answers(front: Balancer, port: int, method: str = "GET", path: str = "/health") -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                if (await front.ask(port, method, path))[0] == 200:
                    return
            except (OSError, asyncio.IncompleteReadError):
                pass
            await asyncio.sleep(0.05)
