"""``make deploy-check``: hold the files of deploy/ against the tools that know their formats, where they are installed.

hadolint, docker compose (or the schema of its specification), kubectl, kubeconform or kubernetes-validate,
systemd-analyze, nginx, caddy, promtool and actionlint. Where Go is installed it brings the schema and actionlint.
What the files say of our own code is held by tests/deploy.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
_FILLED = {"HUSTLEX_SECRET": "x" * 64, "VALKEY_PASSWORD": "x" * 32, "GRAFANA_PASSWORD": "x" * 32}
_FILLED |= {"AJO_SMS_GATEWAY": "https://gateway.example", "AJO_ORIGINS": "https://ajo.example"}
_NGINX = (
    "pid {place}/nginx.pid; error_log stderr; events {{}} "
    "http {{ access_log off; {temporary} include {place}/backend.conf; }}"
)
BY_GO = {
    "compose.yaml": "github.com/compose-spec/compose-go/v2@v2.9.0",
    "workflows": "github.com/rhysd/actionlint@v1.7.12",
}
"""Modules that hold what is asked, where Go stands in for a tool."""
_TUTORIAL = ROOT / "examples" / "tutorial" / "step8_deploy"
_ONLY_SAY = ("docker", "docker-compose", "systemd-analyze")
"""They end with 0 though they complain."""
_TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


def found(*programs: str) -> str | None:
    """The first of these that is installed, beside this interpreter or on the path."""
    beside = Path(sys.executable).parent
    paths = (shutil.which(each, path=beside) or shutil.which(each) for each in programs)
    return next((path for path in paths if path and _can_compose(path)), None)


def _can_compose(path: str) -> bool:
    """docker without its plugin is of no use here."""
    asked = [path, "compose", "version"]
    return Path(path).name != "docker" or subprocess.run(asked, capture_output=True, check=False).returncode == 0


def dockerfile(place: Path, hadolint: str) -> Iterator[Sequence[str]]:
    files = (DEPLOY / "Dockerfile", _TUTORIAL / "Dockerfile")
    yield [hadolint, "--failure-threshold", "warning", *map(str, files)]


def compose(place: Path, docker: str) -> Iterator[Sequence[str]]:
    for folder in (DEPLOY, _TUTORIAL):
        if Path(docker).name == "go":
            yield [sys.executable, "-m", "tools.deploy_check", docker, str(folder / "compose.yaml")]
        else:
            command = [docker, "compose"] if Path(docker).name == "docker" else [docker]
            yield [*command, "-f", str(folder / "compose.yaml"), "config", "--quiet"]


def fits_the_specification(go: str, file: str) -> int:
    """1 for what the schema of compose files refuses, said in one line each."""
    import jsonschema
    import yaml

    told = subprocess.run(
        [go, "mod", "download", "-json", BY_GO["compose.yaml"]], capture_output=True, text=True, check=True
    )
    schema = json.loads((Path(json.loads(told.stdout)["Dir"]) / "schema" / "compose-spec.json").read_text("utf-8"))
    document = yaml.safe_load(Path(file).read_text("utf-8"))
    wrong = [each.message for each in jsonschema.Draft202012Validator(schema).iter_errors(document)]
    print("\n".join(wrong))
    return 1 if wrong else 0


def kustomize(place: Path, kubectl: str) -> Iterator[Sequence[str]]:
    yield [kubectl, "kustomize", str(DEPLOY / "kubernetes"), "-o", str(place / "manifests.yaml")]


def manifests(place: Path, program: str) -> Iterator[Sequence[str]]:
    files = [str(path) for path in sorted(DEPLOY.glob("kubernetes/*.yaml")) if path.stem != "kustomization"]
    yield [program, "-strict", "-summary", *files] if "kubeconform" in program else [program, "--strict", *files]


def units(place: Path, systemd_analyze: str) -> Iterator[Sequence[str]]:
    """With programs that are there: it looks for them."""
    for path in DEPLOY.glob("systemd/hustlex*"):
        text = path.read_text("utf-8").replace("/opt/backend/bin/hustlex", "/usr/bin/env hustlex")
        (place / path.name).write_text(text.replace("/usr/bin/curl", "/usr/bin/env curl"))
    yield [systemd_analyze, "verify", "--man=no", *(str(path) for path in sorted(place.glob("hustlex*")))]


def nginx(place: Path, program: str) -> Iterator[Sequence[str]]:
    """With a certificate of its own, and no port below 1024."""
    names = {
        "/etc/ssl/private/api.example.com.key": str(place / "key.pem"),
        "/etc/ssl/api.example.com.pem": str(place / "certificate.pem"),
        "listen 443": "listen 127.0.0.1:8443",
    }
    text = (DEPLOY / "nginx" / "backend.conf").read_text("utf-8")
    for name, instead in names.items():
        text = text.replace(name, instead)
    (place / "backend.conf").write_text(text)
    temporary = " ".join(f"{each}_temp_path {place}/{each};" for each in _TEMPORARY)
    (place / "nginx.conf").write_text(_NGINX.format(place=place, temporary=temporary))
    subject = ["-subj", "/CN=api.example.com", "-days", "1", "-nodes", "-newkey", "rsa:2048", "-x509"]
    yield ["openssl", "req", *subject, "-keyout", str(place / "key.pem"), "-out", str(place / "certificate.pem")]
    yield [program, "-t", "-q", "-c", str(place / "nginx.conf")]


def caddy(place: Path, program: str) -> Iterator[Sequence[str]]:
    yield [program, "validate", "--adapter", "caddyfile", "--config", str(DEPLOY / "caddy" / "Caddyfile")]


def prometheus(place: Path, promtool: str) -> Iterator[Sequence[str]]:
    """With the alerts beside it, as in the container."""
    for path in (DEPLOY / "prometheus" / "prometheus.yml", ROOT / "src/hustlex/metrics/files/alerts.yaml"):
        shutil.copy(path, place)
    yield [promtool, "check", "config", str(place / "prometheus.yml")]


def workflows(place: Path, actionlint: str) -> Iterator[Sequence[str]]:
    command = (
        [actionlint, "run", BY_GO["workflows"].replace("@", "/cmd/actionlint@")]
        if Path(actionlint).name == "go"
        else [actionlint]
    )
    yield [*command, *(str(path) for path in sorted(ROOT.glob(".github/workflows/*.y*ml")))]


CHECKS: dict[str, tuple[Callable[[Path, str], Iterator[Sequence[str]]], tuple[str, ...]]] = {
    "Dockerfile": (dockerfile, ("hadolint",)),
    "compose.yaml": (compose, ("docker-compose", "docker", "go")),
    "kubernetes, put together": (kustomize, ("kubectl",)),
    "kubernetes, each manifest": (manifests, ("kubeconform", "kubernetes-validate")),
    "systemd": (units, ("systemd-analyze",)),
    "nginx": (nginx, ("nginx",)),
    "caddy": (caddy, ("caddy",)),
    "prometheus": (prometheus, ("promtool",)),
    "workflows": (workflows, ("actionlint", "go")),
}


def checked(check: Callable[[Path, str], Iterator[Sequence[str]]], program: str) -> str:
    """What the program complains of, "" for nothing."""
    with tempfile.TemporaryDirectory(prefix="deploy-") as folder:
        for command in check(Path(folder), program):
            ran = subprocess.run(command, env=os.environ | _FILLED, capture_output=True, text=True, check=False)
            if ran.returncode or (ran.stderr.strip() and Path(program).name in _ONLY_SAY):
                return (ran.stdout + ran.stderr).strip() or f"exit code {ran.returncode}"
    return ""


def main() -> int:
    """1 when a tool complains. One that is not installed is said to be missing."""
    wrong = 0
    for name, (check, programs) in CHECKS.items():
        program = found(*programs)
        fault = checked(check, program) if program else ""
        wrong += bool(fault)
        told = Path(program).name if program else f"not asked: {' or '.join(programs)} is not installed"
        print(f"{'WRONG' if fault else 'ok' if program else '-':<6} {name}: {told}{chr(10) if fault else ''}{fault}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(fits_the_specification(*sys.argv[1:]) if sys.argv[1:] else main())
