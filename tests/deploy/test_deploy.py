"""The files of deploy/ say what is true of the code: commands, options, ports, probes, settings, and times that fit.

What knows their formats is asked in test_formats.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from typer.main import get_command

from deploy import app as deployed
from hustlex import HustleX
from hustlex.cli.main import cli
from hustlex.drivers.embedded import EmbeddedServer
from hustlex.metrics.declared import METRICS
from hustlex.settings import Settings
from hustlex.testing import drain
from hustlex.web.rights import HEARTBEAT
from hustlex.web.routing import every_route

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
FILES = [path for path in sorted(DEPLOY.rglob("*")) if path.is_file() and "__pycache__" not in path.parts]
TEXTS = {path.relative_to(DEPLOY).as_posix(): path.read_text("utf-8") for path in FILES}
COMPOSE = yaml.safe_load(TEXTS["compose.yaml"])
MANIFESTS = [
    each for name, text in TEXTS.items() if name.startswith("kubernetes/") for each in yaml.safe_load_all(text)
]
HUSTLEX: Any = get_command(cli)
GRACE_S = 5
"""Of `hustlex api`, after its drain."""
ENDING_S = 10
"""Of a worker, after its shutdown timeout."""


def containers() -> dict[str, Any]:
    """By name, the containers of the manifests, each with its pod's specification under ``pod``."""
    pods = [each["spec"]["template"]["spec"] for each in MANIFESTS if each["kind"] == "Deployment"]
    return {pod["containers"][0]["name"]: pod["containers"][0] | {"pod": pod} for pod in pods}


def unit(name: str) -> dict[str, str]:
    """Of a service's file; what stands there again and again counts once."""
    return dict(re.findall(r"^(\w+)=(.*)$", TEXTS[f"systemd/{name}.service"], re.MULTILINE))


def commands() -> dict[str, list[str]]:
    """Every start of ours in the files: where it stands, and its words after ``hustlex``."""
    found = {f"compose {name}": service.get("command", []) for name, service in COMPOSE["services"].items()}
    found |= {f"kubernetes {name}": each["args"] for name, each in containers().items()}
    found |= {f"systemd {path.stem}": unit(path.stem)["ExecStart"].split() for path in DEPLOY.glob("systemd/*.service")}
    found["Dockerfile"] = yaml.safe_load(re.findall(r"^CMD (.*)$", TEXTS["Dockerfile"], re.MULTILINE)[-1])
    return {place: words[1:] for place, words in found.items() if words and words[0].endswith("hustlex")}


COMMANDS = commands()


def options(words: list[str]) -> dict[str, str]:
    """The options of a command, their dashes left out."""
    text = " ".join(words)
    return dict(re.findall(r"--([a-z-]+)(?:[= ](?!--)(\S+))?", text))


def test_every_command_can_be_started() -> None:
    """Each option is one of its command's, each value one that it takes, and what it starts is in the image."""
    kinds = {words[0] for words in COMMANDS.values()}
    assert kinds == {"api", "worker", "scheduler", "dashboard", "exporter"}
    assert len(COMMANDS) == 16
    for place, words in COMMANDS.items():
        filled = [word.replace("%i", "1").replace("${RUNTIME_DIRECTORY}", "/run/x") for word in words]
        context = HUSTLEX.commands[words[0]].make_context(words[0], filled[1:])
        if "module" in context.params:
            module = context.params["module"]
            assert module in ("app", ["app"], ("app",)), place
    assert "COPY deploy/app.py app.py" in TEXTS["Dockerfile"]
    assert callable(deployed.app)
    assert deployed.tasks


def test_every_setting_exists_and_can_be_read() -> None:
    known = {f"HUSTLEX_{name.upper()}" for name in Settings.model_fields}
    for name, text in TEXTS.items():
        assert set(re.findall(r"\bHUSTLEX_[A-Z_]+\b", text)) <= known, name
    told = next(each["data"] for each in MANIFESTS if each["kind"] == "ConfigMap")
    queues = yaml.safe_load(told.pop("HUSTLEX_QUEUES"))
    settings = Settings(**{name.removeprefix("HUSTLEX_").lower(): value for name, value in told.items()}, queues=queues)
    assert settings.env == "production"


def test_probes_ask_what_is_served_where_it_is_served() -> None:
    served = {path for path, _ in every_route(deployed.app)}
    assert {"/health", "/live", "/metrics"} <= served
    for name, container in containers().items():
        ports = {each["name"]: each["containerPort"] for each in container.get("ports", [])}
        given = options(container["args"])
        own = given.get("port") or given.get("health-port")
        assert [str(port) for port in ports.values()] == ([own] if own else []), name
        for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
            asked = (container.get(kind) or {}).get("httpGet") or (container.get(kind) or {}).get("tcpSocket")
            if asked:
                assert asked["port"] in ports, (name, kind)
                assert asked.get("path", "/") in ("/", "/health", "/live", "/metrics"), (name, kind)
    for service in (each for each in MANIFESTS if each["kind"] == "Service"):
        ports = [each["name"] for each in containers()[service["spec"]["selector"]["app"]]["ports"]]
        assert service["spec"]["ports"][0]["targetPort"] in ports


def test_a_container_asks_its_own_port() -> None:
    for name, service in COMPOSE["services"].items():
        words = service.get("healthcheck", {}).get("test", [])
        asked = re.search(r"127\.0\.0\.1(?::|', )(\d+)", words[-1]) if words else None
        given = options(service.get("command") or [])
        if asked and given:
            assert asked[1] in (given.get("port"), given.get("health-port")), name
    image = options(COMMANDS["Dockerfile"])["port"]
    assert f"127.0.0.1:{image}/health" in TEXTS["Dockerfile"]
    assert options(COMMANDS["compose api"])["port"] == image


def test_what_deployments_are_told_apart_by_fits() -> None:
    """Selectors, budgets, autoscalers and the ingress name what there is, and who may be replaced is never all."""
    names = set(containers())
    for each in MANIFESTS:
        spec = each.get("spec", {})
        match each["kind"]:
            case "Deployment":
                labels = spec["template"]["metadata"]["labels"]
                assert spec["selector"]["matchLabels"] == labels == {"app": each["metadata"]["name"]}
                assert spec["template"]["spec"]["securityContext"]["runAsNonRoot"]
            case "PodDisruptionBudget":
                assert spec["selector"]["matchLabels"]["app"] in names
            case "HorizontalPodAutoscaler":
                assert spec["scaleTargetRef"]["name"] in names
                assert spec["minReplicas"] >= 2
            case "Ingress":
                assert spec["rules"][0]["http"]["paths"][0]["backend"]["service"]["name"] in names
    listed = yaml.safe_load(TEXTS["kubernetes/kustomization.yaml"])["resources"]
    there = {name.removeprefix("kubernetes/") for name in TEXTS if name.startswith("kubernetes/")}
    assert {*listed, "kustomization.yaml"} == {name for name in there if name.endswith(".yaml")}


def seconds(text: str) -> float:
    return float(text.removesuffix("s"))


def test_whoever_ends_is_given_the_time_it_needs() -> None:
    shutdown = float(COMPOSE["services"]["worker"]["environment"]["HUSTLEX_SHUTDOWN_TIMEOUT_S"])
    for name, place, given in (
        ("api", "compose", seconds(COMPOSE["services"]["api"]["stop_grace_period"])),
        ("worker", "compose", seconds(COMPOSE["services"]["worker"]["stop_grace_period"])),
        ("api", "kubernetes", containers()["api"]["pod"]["terminationGracePeriodSeconds"]),
        ("worker", "kubernetes", containers()["worker"]["pod"]["terminationGracePeriodSeconds"]),
        ("hustlex-api@", "systemd", seconds(unit("hustlex-api@")["TimeoutStopSec"])),
        ("hustlex-worker@", "systemd", seconds(unit("hustlex-worker@")["TimeoutStopSec"])),
    ):
        drained = float(options(COMMANDS[f"{place} {name}"]).get("drain", 0)) + GRACE_S
        assert given > (drained if "api" in name else shutdown + ENDING_S), (place, name)


def test_no_proxy_keeps_a_connection_that_is_about_to_be_closed() -> None:
    """Its idle connections end before ours do and before the end of a drain; event streams outlive its patience."""
    kept = [
        re.search(r"keepalive_timeout (\d+)s", TEXTS["nginx/backend.conf"]),
        re.search(r"keepalive (\d+)s", TEXTS["caddy/Caddyfile"]),
    ]
    read = [
        re.search(r"proxy_read_timeout (\d+)s", TEXTS["nginx/backend.conf"]),
        re.search(r"read_timeout (\d+)s", TEXTS["caddy/Caddyfile"]),
    ]
    for place, words in COMMANDS.items():
        given = options(words)
        if words[0] == "api":
            assert all(int(each[1]) < min(float(given["drain"]), float(given["keep-alive"])) for each in kept), place
    assert all(int(each[1]) > 2 * HEARTBEAT.total_seconds() for each in read)


def test_every_metric_named_exists_and_is_scraped_where_it_is_told() -> None:
    for name, text in TEXTS.items():
        assert set(re.findall(r"\bhustlex_[a-z]+_[a-z_]+\b", text)) <= set(METRICS), name
    asked = {each["job_name"]: each for each in yaml.safe_load(TEXTS["prometheus/prometheus.yml"])["scrape_configs"]}
    for name, job in asked.items():
        given = options(COMMANDS[f"compose {name}"])
        fixed = [{"port": each["targets"][0].split(":")[1]} for each in job.get("static_configs", [])]
        port = (job.get("dns_sd_configs") or fixed)[0]["port"]
        assert str(port) in (given.get("port"), given.get("health-port")), name
    for each in (each for each in MANIFESTS if each["kind"] == "Deployment"):
        told = each["spec"]["template"]["metadata"].get("annotations", {}).get("prometheus.io/port")
        given = options(COMMANDS[f"kubernetes {each['metadata']['name']}"])
        assert told in (None, given.get("port"), given.get("health-port"))


def test_every_alert_has_its_place_among_the_incidents() -> None:
    rules = yaml.safe_load((ROOT / "src/hustlex/metrics/files/alerts.yaml").read_text("utf-8"))
    page = (ROOT / "docs/guides/incidents.md").read_text("utf-8")
    names = [rule["alert"] for group in rules["groups"] for rule in group["rules"]]
    assert [name for name in names if f"`{name}`" not in page] == []


def test_what_is_mounted_is_there() -> None:
    for service in COMPOSE["services"].values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source in COMPOSE["volumes"] or (DEPLOY / source).exists(), source


def server(name: str) -> EmbeddedServer:
    """A server with these options, and a port of its own."""
    lines = [line.split(" ", 1) for line in TEXTS[f"valkey/{name}.conf"].splitlines() if line[:1] not in ("#", "")]
    return EmbeddedServer(extra_args=[word for name, value in lines for word in (f"--{name}", value.strip('"'))])


async def test_the_servers_are_as_the_doctor_wants_them() -> None:
    with server("state") as state, server("cache") as cache:
        async with HustleX(state.url, cache_url=cache.url) as hx:
            found = await hx.diagnostics.check()
    judged = {(each.role, each.check): each.level for each in found.findings}
    for check in ("eviction", "persistence", "client_memory", "latency"):
        assert judged["state", check] == "ok", check
    assert judged["cache", "eviction"] == "ok"
    assert not [each for each in found.findings if each.level == "fail"]


async def test_the_application_in_the_image_takes_an_order_and_tells_of_its_job(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUSTLEX_URL", url)
    monkeypatch.setenv("HUSTLEX_SECRET", "a secret of the deployment, thirty-two bytes or more")
    transport = httpx.ASGITransport(deployed.app)
    async with (
        deployed.app.router.lifespan_context(deployed.app),
        httpx.AsyncClient(transport=transport, base_url="http://backend.test") as client,
    ):
        assert (await client.get("/health")).json()["ok"]
        assert (await client.get("/live")).json() == {"live": True}
        task = (await client.post("/orders/42")).json()["task"]
        await drain(deployed.app.state.hustlex, deployed.tasks)
        told = await client.get(f"/tasks/{task}/events")
    assert "page 3" in told.text
