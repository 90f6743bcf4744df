"""``hustlex dashboard --behind``: in a process of its own, behind this test as its proxy."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from hustlex.drivers.ports import free_port
from tests.cli.inside import hustlex

SECRET = "wq9-Vf3.k20_Lr7x!Ht5"
WHO = ("--may-act", "ada@example.com", "--may-read", "@example.com")
TOLD = {"X-Forwarded-Email": "ada@example.com", "X-Proxy-Secret": SECRET}
FORGED = {"X-Forwarded-For": "10.0.0.7", "X-Forwarded-Proto": "https", "X-Real-IP": "10.0.0.7"}


@contextmanager
def serving(place: Path, url: str, *options: str) -> Iterator[str]:
    """The address of a running console, which prints it when it is about to listen."""
    port = free_port()
    command = [sys.executable, "-m", "hustlex", "dashboard", "--url", url, "--port", str(port), *options]
    environment = {**os.environ, "HUSTLEX_CONSOLE_PROXY_SECRET": SECRET, "FORWARDED_ALLOW_IPS": "*"}
    with subprocess.Popen(command, cwd=place, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            assert SECRET not in said and "#" not in said
            found = re.search(r"http://\S+:\d+", said)
            assert found, said
            yield found[0]
        finally:
            process.kill()


def asked(address: str, **headers: str) -> tuple[int, str]:
    with httpx.Client(transport=httpx.HTTPTransport(retries=8)) as client:
        answer = client.get(address, headers=headers, timeout=60)
    return answer.status_code, answer.text


def test_who_comes_through_the_proxy_is_who_it_says(url: str, tmp_path: Path) -> None:
    with serving(tmp_path, url, "--behind", "127.0.0.1", *WHO) as address:
        status, page = asked(address, **TOLD, **FORGED)  # whatever stands there, the peer is the socket's
        assert status == 200 and "ada@example.com (act)" in page
        assert "(read)" in asked(address, **{**TOLD, "X-Forwarded-Email": "tunde@EXAMPLE.com"})[1]
        for wrong in ({}, {**TOLD, "X-Proxy-Secret": "x"}, {**TOLD, "X-Forwarded-Email": "eve@evil.example"}):
            assert asked(address, **wrong) == (403, "You may not look at this console.")
        assert asked(f"{address}/enter", **TOLD)[0] == 404


def test_an_address_in_a_header_makes_nobody_the_proxy(url: str, tmp_path: Path) -> None:
    with serving(tmp_path, url, "--behind", "10.0.0.7", *WHO) as address:
        assert asked(address, **TOLD, **FORGED)[0] == 403


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--may-act", "ada"), "--behind"),
        (("--behind", "10.0.0.7"), "nobody could come in"),
        (("--behind", "proxy.example", *WHO), "neither an address nor a network"),
        (("--behind", "10.0.0.7", "--may-read", "*@example.com"), "a pattern"),
        (("--behind", "10.0.0.7", *WHO, "--token"), "nobody signs in here"),
        (("--behind", "10.0.0.7", *WHO, "--token-file", "link"), "nobody signs in here"),
        (("--behind", "10.0.0.7", *WHO, "--end", "ada"), "nobody signs in here"),
        (("--behind", "10.0.0.7", *WHO, "--name", "ada"), "nobody signs in here"),
        (("--behind", "10.0.0.7", *WHO, "--reveal"), "nobody signs in here"),
    ],
)
def test_what_does_not_go_together_is_one_sentence(
    url: str, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], said: str
) -> None:
    monkeypatch.setenv("HUSTLEX_CONSOLE_PROXY_SECRET", SECRET)
    told = hustlex("dashboard", "--url", url, "--port", str(free_port()), *words)
    assert told.returncode == 2 and said in told.stderr and SECRET not in told.stderr


def test_without_a_secret_it_does_not_start(url: str) -> None:
    told = hustlex("dashboard", "--url", url, "--behind", "10.0.0.7", *WHO)
    assert told.returncode == 2 and "HUSTLEX_CONSOLE_PROXY_SECRET is not set" in told.stderr
