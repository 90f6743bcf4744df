"""What operators copy speaks of nothing that is not told."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from hustlex.metrics import files
from hustlex.metrics.declared import METRICS
from hustlex.metrics.text import exposition
from tests.support.needs import needs
from tools import grafana

NAME = re.compile(r"\bhustlex_\w+")
MATCHER = re.compile(r"(hustlex_\w+)\{([^}]*)\}")
GROUPING = re.compile(r"by \(([\w, ]*)\)")
OURS = {"le", "instance"}
"""Labels that Prometheus adds."""
ALERTS = [rule for group in yaml.safe_load(files.text("alerts.yaml"))["groups"] for rule in group["rules"]]


def metric_of(series: str) -> Any:
    """A series is a metric, or a part of a histogram."""
    base = re.sub(r"_(bucket|sum|count)$", "", series)
    found = METRICS.get(series) or METRICS.get(base)
    assert found is not None, f"{series} is not told"
    assert (found.kind == "histogram") == (series != found.name), series
    return found


def judge(expression: str) -> set[str]:
    """The metrics of an expression; its labels exist, and counters are used as such."""
    for series, matchers in MATCHER.findall(expression):
        for label in re.findall(r"(\w+)\s*[=!]", matchers):
            assert label in {*metric_of(series).labels, *OURS}, (series, label)
    found = {metric_of(series).name for series in NAME.findall(expression)}
    known = set().union(*(METRICS[name].labels for name in found)) | OURS
    for labels in GROUPING.findall(expression):
        assert set(re.findall(r"\w+", labels)) <= known, expression
    for name in found:
        if METRICS[name].kind == "counter":
            assert re.search(rf"(rate|increase)\({name}", expression), f"{name} in {expression}"
    assert expression.count("(") == expression.count(")")
    return found


SITUATIONS: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "HustlexQueueUnserved": (
        {
            'hustlex_queue_serving_workers{queue="mail"}': "0x30",
            'hustlex_queue_tasks{queue="mail",state="pending"}': "3x30",
        },
        {"queue": "mail"},
    ),
    "HustlexTaskWaitSlow": (
        {
            'hustlex_task_wait_seconds_bucket{queue="mail",le="60"}': "0x30",
            'hustlex_task_wait_seconds_bucket{queue="mail",le="300"}': "0+60x30",
            'hustlex_task_wait_seconds_bucket{queue="mail",le="+Inf"}': "0+60x30",
        },
        {"queue": "mail"},
    ),
    "HustlexTasksRecovered": (
        {'hustlex_tasks_recovered_total{queue="mail",how="dead"}': "0+1x30"},
        {"queue": "mail"},
    ),
    "HustlexQuarantine": ({'hustlex_queue_quarantined{queue="mail"}': "1x30"}, {"queue": "mail"}),
    "HustlexOutboxLagging": ({"hustlex_outbox_lag_seconds": "90x30"}, {}),
    "HustlexRefusing": (
        {
            'hustlex_ratelimit_decisions_total{policy="pay",outcome="denied",source="redis"}': "0+180x30",
            'hustlex_ratelimit_decisions_total{policy="pay",outcome="allowed",source="redis"}': "0+60x30",
        },
        {"policy": "pay"},
    ),
    "HustlexScheduleLate": (
        {
            'hustlex_schedule_delay_seconds_bucket{le="30"}': "0x30",
            'hustlex_schedule_delay_seconds_bucket{le="60"}': "0+1x30",
            'hustlex_schedule_delay_seconds_bucket{le="+Inf"}': "0+1x30",
        },
        {},
    ),
    "HustlexEventGaps": (
        {'hustlex_event_gaps_total{channel="orders:{id}",reason="slow"}': "0+60x30"},
        {"channel": "orders:{id}"},
    ),
    "HustlexBreakerOpen": ({'hustlex_breaker_open{breaker="ratelimit"}': "1x30"}, {"breaker": "ratelimit"}),
    "HustlexCallsRepeated": ({'hustlex_call_repeats_total{role="state"}': "0+600x30"}, {"role": "state"}),
    "HustlexDialsFailing": ({'hustlex_dials_total{role="state",outcome="failed"}': "0+60x30"}, {"role": "state"}),
    "HustlexDoctorFails": (
        {
            'hustlex_doctor{role="state",check="eviction"}': "2x30",
            'hustlex_doctor{role="state",check="persistence"}': "1x30",
        },
        {"role": "state", "check": "eviction"},
    ),
    "HustlexNeedsAttention": (
        {'hustlex_attention{rule="cron"}': "1x30", 'hustlex_attention{rule="full"}': "0x30"},
        {"rule": "cron"},
    ),
    "HustlexRedisAway": ({'hustlex_redis_up{role="state"}': "0x30"}, {"role": "state"}),
}
"""By alert: series, a value a minute, of which it rings after half an hour, and what it is told of."""


def rings() -> dict[str, Any]:
    """The same as promtool wants it."""
    severities = {rule["alert"]: rule["labels"]["severity"] for rule in ALERTS}
    tests = [
        {
            "interval": "1m",
            "input_series": [{"series": name, "values": values} for name, values in series.items()],
            "alert_rule_test": [
                {
                    "alertname": alert,
                    "eval_time": "30m",
                    "exp_alerts": [{"exp_labels": {**labels, "severity": severities[alert]}}],
                }
            ],
        }
        for alert, (series, labels) in SITUATIONS.items()
    ]
    return {"rule_files": ["bare.yaml"], "evaluation_interval": "1m", "tests": tests}


def test_the_dashboard_shows_every_metric_and_no_other() -> None:
    board = json.loads(files.text("grafana.json"))
    expressions = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    assert set().union(*(judge(expression) for expression in expressions)) == set(METRICS)
    for variable in board["templating"]["list"][1:]:
        metric, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["definition"]).groups()
        assert label in METRICS[metric].labels
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids))
    places = [(p["gridPos"]["x"], p["gridPos"]["y"]) for p in board["panels"]]
    assert len(places) == len(set(places)), "panels lie on each other"
    assert files.text("grafana.json") == grafana.text()


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_speaks_of_what_is_told_and_has_a_runbook(rule: dict[str, Any]) -> None:
    assert judge(rule["expr"])
    assert rule["labels"]["severity"] in ("warning", "critical")
    runbook = rule["annotations"]["runbook"]
    assert runbook.endswith(".") and len(runbook) > 30
    shown = re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"])
    groups = {label for labels in GROUPING.findall(rule["expr"]) for label in re.findall(r"\w+", labels)}
    names = set().union(*(METRICS[name].labels for name in judge(rule["expr"]))) | OURS
    assert set(shown) <= (groups or names), "a label that the result has not"


def test_alerts_have_names_of_their_own() -> None:
    names = [rule["alert"] for rule in ALERTS]
    assert len(set(names)) == len(names) >= 15
    assert all(name.startswith("Hustlex") for name in names)


def test_promtool_has_nothing_against_the_rules_and_each_rings_when_it_should(tmp_path: Path) -> None:
    promtool = needs(shutil.which("promtool"), "promtool (Debian's prometheus)")
    files.write(tmp_path)
    bare = yaml.safe_load(files.text("alerts.yaml"))
    for rule in (rule for group in bare["groups"] for rule in group["rules"]):
        del rule["annotations"]
    (tmp_path / "bare.yaml").write_text(yaml.safe_dump(bare))
    (tmp_path / "rings.yaml").write_text(yaml.safe_dump(rings()))
    for words in (["check", "rules", "--lint-fatal", "alerts.yaml"], ["test", "rules", "rings.yaml"]):
        ran = subprocess.run([promtool, *words], cwd=tmp_path, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stdout + ran.stderr


def test_promtool_has_nothing_against_what_is_told() -> None:
    promtool = needs(shutil.which("promtool"), "promtool (Debian's prometheus)")
    series = {(name, tuple("x" for _ in metric.labels)): [1.0] * metric.width for name, metric in METRICS.items()}
    ran = subprocess.run([promtool, "check", "metrics"], input=exposition(series), capture_output=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_the_autoscaler_asks_for_what_the_exporter_answers() -> None:
    scaled = yaml.safe_load(files.text("keda.yaml"))
    for trigger in scaled["spec"]["triggers"]:
        assert trigger["metadata"]["valueLocation"] in ("work", "wait_s", "serving")
        assert re.search(r"/scale\?queue=\w+$", trigger["metadata"]["url"])


def test_all_are_written_where_they_are_wanted(tmp_path: Path) -> None:
    written = files.write(tmp_path / "new")
    assert [path.name for path in written] == list(files.NAMES)
    assert all(path.read_text("utf-8") == files.text(path.name) for path in written)


def test_whatever_is_declared_is_counted_somewhere() -> None:
    """What a busy process tells is held against the declarations elsewhere; here nothing is declared in vain."""
    folder = Path(files.__file__).parents[1]
    source = "".join(path.read_text("utf-8") for path in folder.glob("*.py") if path.name != "declared.py")
    short = {name.removeprefix("hustlex_") for name in METRICS}
    made = {f"cache_{kind}_total" for kind in ("requests", "computations", "fills", "waits")}
    made |= {f"otp_{event}_total" for event in ("verify", "totp")}
    queues = {name for name in short if name.startswith("queue_")}
    assert [name for name in short - made - queues if name not in source] == []
    assert [name for name in queues if f'"{name.removeprefix("queue_")}"' not in source and name not in source] == []
