"""``python -m examples.run shop``: a server of its own, and an example's processes on it. Ctrl-C ends them all."""

from __future__ import annotations

import asyncio
import secrets
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from shutil import which
from tempfile import TemporaryDirectory

from hustlex.cli.supervisor import Child, Supervisor
from hustlex.drivers.embedded import EmbeddedServer

HERE = Path(__file__).parent
PYTHON = (sys.executable, "-m")
PORT = "8000"


def processes(name: str, port: str) -> Mapping[str, Sequence[str]]:
    """What an example consists of. Whatever is called "web" listens at the port, and starts first."""
    api, worker = (*PYTHON, "hustlex", "api", "--port", port), (*PYTHON, "hustlex", "worker")
    return {
        "crawl": {"web": (*PYTHON, "examples.crawl.app", port)},
        "shop": {"web": (*api, "examples.shop.app"), "worker": (*worker, "examples.shop.app")},
        "flask_notes": {
            "web": (*PYTHON, "flask", "--app", "examples.flask_notes.app", "run", "--port", port),
            "worker": (*worker, "examples.flask_notes.app"),
        },
        "django_polls": {
            "web": (*PYTHON, "django", "runserver", "--noreload", port),
            "worker": (*worker, "examples.django_polls.jobs"),
        },
        "go_resize": {
            "web": (*api, "examples.go_resize.app"),
            "worker": (*worker, "examples.go_resize.app"),
            "go": (which("go") or "go", "run", "-C", str(HERE / "go_resize"), "."),
        },
    }[name]


def main(name: str, port: str = PORT) -> int:
    with TemporaryDirectory(prefix="hustlex-") as folder, EmbeddedServer(Path(folder) / "server") as server:
        environment = {"HUSTLEX_URL": server.url, "HUSTLEX_SECRET": secrets.token_hex(32), "HUSTLEX_DATA": folder}
        environment |= {"DJANGO_SETTINGS_MODULE": f"examples.{name}.settings"} if name.startswith("django") else {}
        children = [
            Child(part, command, ready_port=int(port) if part == "web" else 0, leads=part == "web")
            for part, command in processes(name, port).items()
        ]
        print(f"{name}: http://127.0.0.1:{port}/ soon; in another terminal: python -m examples.visit {name}")
        return asyncio.run(Supervisor(server, children, environment).run())


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
