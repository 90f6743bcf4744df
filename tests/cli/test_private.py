"""Nobody else on the machine: files and directories of the package, the server's password, the server's port."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import threading
from pathlib import Path

import pytest
import redis

from hustlex.core import private
from hustlex.drivers.embedded import EmbeddedServer
from hustlex.errors import ConfigurationError
from tests.cli.backend import Up

MARKS = ("secret",)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def loose(root: Path) -> dict[str, str]:
    """Whatever others may do something with. A server that runs there removes files while we look."""
    found = {}
    for path in (root, *root.rglob("*")):
        with contextlib.suppress(FileNotFoundError):
            found[str(path.relative_to(root))] = mode(path)
    return {name: oct(rights) for name, rights in found.items() if rights & 0o077}


@pytest.fixture
def careless() -> object:
    """A user whose files are open to everybody unless somebody says otherwise."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.timeout(450)
def test_what_a_backend_leaves_behind_is_private(tmp_path: Path, careless: object) -> None:
    data = tmp_path / "data"
    with Up(data, forks=True) as up:
        up.wait_for_line("^ready$")
        assert loose(data) == {}
        assert up.stop() == 0
    assert {"secret", "server", "gigs.db"} <= {path.name for path in data.iterdir()}
    assert loose(data) == {}


def test_a_servers_directory_is_private_however_it_writes(tmp_path: Path, careless: object) -> None:
    with EmbeddedServer(tmp_path / "server", append_only=True) as server, redis.Redis.from_url(server.url) as raw:
        raw.set("a", 1)
        raw.save()
        raw.bgrewriteaof()
        assert loose(tmp_path / "server") == {}
        server.kill()
        server.start()
        assert loose(tmp_path / "server") == {}


def test_an_open_directory_of_ours_is_closed_and_its_password_changed(tmp_path: Path) -> None:
    place = tmp_path / "server"
    with EmbeddedServer(place) as server:
        known = server.url
    place.chmod(0o777)
    (place / "password").chmod(0o644)
    with EmbeddedServer(place) as server:
        assert loose(place) == {}
        assert server.url != known
        assert server.url.partition("@")[2] == known.partition("@")[2]


@pytest.mark.parametrize("rights", [0o701, 0o750, 0o755, 0o770, 0o777])
def test_an_open_directory_is_tightened_or_refused(tmp_path: Path, rights: int) -> None:
    empty, ours, strange = tmp_path / "empty", tmp_path / "ours", tmp_path / "strange"
    for place, content in ((empty, ""), (ours, "secret"), (strange, "thesis.txt")):
        place.mkdir()
        if content:
            (place / content).touch(0o600)
        place.chmod(rights)
    private.directory(empty, MARKS)
    private.directory(ours, MARKS)
    with pytest.raises(ConfigurationError, match=r"strange is open to other users .*chmod 700"):
        private.directory(strange, MARKS)
    assert (mode(empty), mode(ours), mode(strange)) == (0o700, 0o700, rights)


def test_a_file_that_vanishes_meanwhile_is_no_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret").touch(0o600)
    tmp_path.chmod(0o755)
    found = [tmp_path / "secret", tmp_path / "temp-rewriteaof-1.aof"]
    monkeypatch.setattr(Path, "iterdir", lambda _: iter(found))
    private.directory(tmp_path, MARKS)
    assert mode(tmp_path) == 0o700


def test_a_directory_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "data"):
        with pytest.raises(ConfigurationError, match="cannot write to"):
            private.directory(place, MARKS)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_belongs_to_somebody_else_is_refused(tmp_path: Path) -> None:
    theirs, planted = tmp_path / "theirs", tmp_path / "planted"
    for place in (theirs, planted):
        place.mkdir()
    os.chown(theirs, 12345, 12345)
    (planted / "secret").touch(0o600)
    os.chown(planted / "secret", 12345, 12345)
    planted.chmod(0o777)
    for place in (theirs, planted):
        with pytest.raises(ConfigurationError, match="belongs to another user"):
            private.directory(place, MARKS)
    with pytest.raises(ConfigurationError, match="open to other users"):
        private.read(planted / "secret")


@pytest.mark.parametrize("rights", [0o604, 0o620, 0o644, 0o666])
def test_an_open_secret_is_refused_and_never_used(tmp_path: Path, rights: int) -> None:
    secret = tmp_path / "secret"
    private.write(secret, "s3cret")
    assert private.read(secret) == "s3cret"
    secret.chmod(rights)
    with pytest.raises(ConfigurationError, match=r"secret is open to other users .*chmod 600") as caught:
        private.read(secret)
    assert "s3cret" not in str(caught.value)


def test_links_are_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "target"
    private.write(target, "theirs")
    (tmp_path / "link").symlink_to(target)
    with pytest.raises(ConfigurationError, match="cannot read"):
        private.read(tmp_path / "link")
    private.write(tmp_path / "link", "ours")
    assert target.read_text() == "theirs"


class Impostor:
    """Another user's program on a port of this machine, who keeps what it is sent."""

    def __init__(self, port: int) -> None:
        self.heard = b""
        self._socket = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                link, _ = self._socket.accept()
            except OSError:
                return
            with link:
                link.settimeout(1)
                self.heard += link.recv(1000)
                link.sendall(b"+OK\r\n+PONG\r\n")

    def close(self) -> None:
        self._socket.close()


def test_who_took_the_remembered_port_is_not_told_the_password(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path / "server") as server:
        port = server.port
    impostor = Impostor(port)
    with EmbeddedServer(tmp_path / "server") as server:
        assert server.port != port
    with pytest.raises(ConfigurationError, match="already taken"):
        EmbeddedServer(tmp_path / "server", port=port).start()
    impostor.close()
    assert impostor.heard == b""


TELLS = """
import os
from contextlib import asynccontextmanager
from hustlex import Tasks

@asynccontextmanager
async def lifespan():
    print("told", os.environ["HUSTLEX_URL"].partition("@")[2], flush=True)
    yield

tasks = Tasks(lifespan=lifespan)
"""


@pytest.mark.timeout(450)
def test_the_programs_of_up_are_told_the_socket_and_never_the_port(tmp_path: Path) -> None:
    """While the server is down, whoever takes its port would be sent the password by them."""
    (tmp_path / "tells.py").write_text(TELLS)
    with Up(tmp_path / "data", modules=["tells"], at=tmp_path, forks=True) as up:
        look = up.wait_for_line("redis-cli")
        assert up.wait_for_line("told").endswith(f"told {tmp_path}/data/server/server.sock?db=0")
        assert (tmp_path / "data/server/password").read_text() not in "\n".join(up.lines)
    assert 'REDISCLI_AUTH="$(cat data/server/password)" redis-cli -s data/server/server.sock' in look
