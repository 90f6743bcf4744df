"""The Grafana dashboard that the package carries; ``tools.gen_docs`` writes it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

TARGET = Path(__file__).parent.parent / "src" / "hustlex" / "metrics" / "files" / "grafana.json"
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
Q = 'queue=~"$queue"'
T = 'type=~"$type"'
RATE = "$__rate_interval"

Panel = tuple[str, str, dict[str, str]]
"""Title, unit, and the expressions by their legends."""


def _p95(metric: str, by: str = "", where: str = "") -> str:
    return f"histogram_quantile(0.95, sum by (le{', ' + by if by else ''}) (rate({metric}_bucket{{{where}}}[{RATE}])))"


def _rate(metric: str, by: str, where: str = "") -> str:
    return f"sum by ({by}) (rate({metric}{{{where}}}[{RATE}]))"


ROWS: dict[str, tuple[Panel, ...]] = {
    "Overview": (
        ("Attempts", "ops", {"ended": f"sum(rate(hustlex_queue_ended_total[{RATE}]))"}),
        (
            "Failed",
            "percentunit",
            {"share": f"sum(rate(hustlex_queue_failed_total[{RATE}])) / sum(rate(hustlex_queue_ended_total[{RATE}]))"},
        ),
        ("Longest wait", "s", {"{{queue}}": f"topk(5, max by (queue) (hustlex_queue_wait_seconds{{{Q}}}))"}),
        ("Work", "short", {"{{queue}}": f"max by (queue) (hustlex_queue_work{{{Q}}})"}),
        ("Workers", "short", {"{{kind}} {{status}}": "max by (kind, status) (hustlex_workers)"}),
        ("Second best", "short", {"{{room}}": "sum by (room) (hustlex_degraded)"}),
        ("Entries overdue", "short", {"entries": "max(hustlex_schedule_overdue)"}),
        ("Needs attention", "short", {"{{rule}}": "max by (rule) (hustlex_attention) > 0"}),
    ),
    "Queues": (
        (
            "Tasks by state",
            "short",
            {"{{state}}": f"sum by (state) (max by (queue, state) (hustlex_queue_tasks{{{Q}}}))"},
        ),
        ("Wait", "s", {"{{queue}}": f"max by (queue) (hustlex_queue_wait_seconds{{{Q}}})"}),
        ("Waited, 95 of 100", "s", {"{{queue}}": _p95("hustlex_task_wait_seconds", "queue", Q)}),
        ("Enqueued", "ops", {"{{queue}} {{outcome}}": _rate("hustlex_enqueued_total", "queue, outcome", Q)}),
        ("Overdue", "s", {"{{queue}}": f"max by (queue) (hustlex_queue_overdue_seconds{{{Q}}})"}),
        ("Serving workers", "short", {"{{queue}}": f"max by (queue) (hustlex_queue_serving_workers{{{Q}}})"}),
        (
            "Orphans, paused, limits",
            "short",
            {
                "orphans {{queue}}": f"max by (queue) (hustlex_queue_orphans{{{Q}}})",
                "paused {{queue}}": f"max by (queue) (hustlex_queue_paused{{{Q}}})",
                "limit {{queue}}": f"max by (queue) (hustlex_queue_limit{{{Q}}})",
                "groups {{queue}}": f"max by (queue) (hustlex_queue_groups{{{Q}}})",
                "quarantined {{queue}}": f"max by (queue) (hustlex_queue_quarantined{{{Q}}})",
            },
        ),
        ("Recovered", "ops", {"{{queue}} {{how}}": _rate("hustlex_tasks_recovered_total", "queue, how", Q)}),
        (
            "Outbox",
            "short",
            {"pending": "max(hustlex_outbox_pending)", "behind, s": "max(hustlex_outbox_lag_seconds)"},
        ),
        ("Relayed", "ops", {"{{outcome}}": _rate("hustlex_outbox_relayed_total", "outcome")}),
    ),
    "Handlers": (
        ("Duration, 95 of 100", "s", {"{{type}}": _p95("hustlex_task_duration_seconds", "type", T)}),
        ("Outcomes", "ops", {"{{outcome}}": _rate("hustlex_tasks_total", "outcome", f"{T}, {Q}")}),
        ("Slots", "short", {"{{kind}}": "sum by (kind) (hustlex_worker_slots)"}),
        ("Held back by limits", "short", {"{{type}}": f"sum by (type) (hustlex_tasks_held{{{T}}})"}),
        ("Event loop late", "s", {"{{instance}}": "max by (instance) (hustlex_loop_lag_seconds)"}),
        ("Blocks the loop", "s", {"{{type}}": f"max by (type) (hustlex_blocking_seconds{{{T}}})"}),
        ("Trouble", "short", {"{{instance}} {{part}}": "max by (instance, part) (hustlex_worker_trouble)"}),
        ("Memory", "bytes", {"{{instance}}": "sum by (instance) (hustlex_process_resident_bytes)"}),
        ("Periodic entries", "ops", {"{{outcome}}": _rate("hustlex_schedule_fires_total", "outcome")}),
        ("Periodic entries late, 95 of 100", "s", {"late": _p95("hustlex_schedule_delay_seconds")}),
    ),
    "Edge": (
        ("Limits", "ops", {"{{outcome}} {{source}}": _rate("hustlex_ratelimit_decisions_total", "outcome, source")}),
        (
            "Who refuses",
            "ops",
            {"{{policy}}": _rate("hustlex_ratelimit_decisions_total", "policy", 'outcome="denied"')},
        ),
        ("Token checks", "ops", {"{{result}} {{reason}}": _rate("hustlex_token_checks_total", "result, reason")}),
        (
            "Sessions",
            "ops",
            {
                "login {{outcome}}": _rate("hustlex_token_logins_total", "outcome"),
                "refresh {{outcome}}": _rate("hustlex_token_refreshes_total", "outcome"),
                "revoked {{kind}}": _rate("hustlex_token_revocations_total", "kind"),
                "stolen": f"sum(rate(hustlex_token_theft_total[{RATE}]))",
            },
        ),
        (
            "Revocations",
            "short",
            {"held": "sum(hustlex_token_view_entries)", "behind, s": "max(hustlex_token_view_lag_seconds)"},
        ),
        (
            "Idempotency, webhooks, PINs",
            "ops",
            {
                "key {{outcome}}": _rate("hustlex_idempotency_total", "outcome"),
                "claim {{outcome}}": _rate("hustlex_idempotency_settled_total", "outcome"),
                "webhook {{provider}} {{outcome}}": _rate("hustlex_webhook_events_total", "provider, outcome"),
                "PIN {{outcome}}": _rate("hustlex_pin_attempts_total", "outcome"),
            },
        ),
        ("Payments in doubt", "short", {"in doubt": "max(hustlex_idempotency_in_doubt)"}),
    ),
    "Codes": (
        ("Slowed down", "short", {"scopes": "max(hustlex_otp_slowed)"}),
        ("Funnel", "ops", {"{{country}} {{step}}": _rate("hustlex_otp_steps_total", "country, step")}),
        (
            "Typed of sent, by country",
            "percentunit",
            {
                "{{country}}": f'sum by (country) (rate(hustlex_otp_steps_total{{step="verified"}}[{RATE}]))'
                f' / sum by (country) (rate(hustlex_otp_steps_total{{step="sent"}}[{RATE}]))'
            },
        ),
        ("Asked for", "ops", {"{{outcome}}": _rate("hustlex_otp_issue_total", "outcome")}),
        ("Asked for again", "ops", {"{{outcome}}": _rate("hustlex_otp_resend_total", "outcome")}),
        (
            "Typed",
            "ops",
            {
                "{{outcome}}": _rate("hustlex_otp_verify_total", "outcome"),
                "authenticator {{outcome}}": _rate("hustlex_otp_totp_total", "outcome"),
            },
        ),
        (
            "Typed of sent",
            "percentunit",
            {
                "share": f'sum(rate(hustlex_otp_verify_total{{outcome="verified"}}[{RATE}]))'
                f' / sum(rate(hustlex_otp_issue_total{{outcome="sent"}}[{RATE}]))'
            },
        ),
        ("Time to type, 95 of 100", "s", {"seconds": _p95("hustlex_otp_time_to_verify_seconds")}),
        ("Budget", "percentunit", {"{{country}}": "max by (country) (hustlex_otp_budget_ratio)"}),
        (
            "Messages",
            "ops",
            {
                "{{channel}} {{outcome}}": _rate("hustlex_otp_delivery_total", "channel, outcome"),
                "dropped {{outcome}}": _rate("hustlex_otp_send_dropped_total", "outcome"),
            },
        ),
        (
            "Refused, suspicious",
            "ops",
            {
                "{{scope}} {{outcome}}": _rate("hustlex_otp_refused_total", "scope, outcome"),
                "guessing {{country}}": _rate("hustlex_otp_guessing_total", "country"),
                "unusual {{country}}": _rate("hustlex_otp_unusual_number_total", "country"),
            },
        ),
    ),
    "Cache": (
        ("Reads", "ops", {"{{cache}} {{result}}": _rate("hustlex_cache_requests_total", "cache, result")}),
        (
            "Hits",
            "percentunit",
            {
                "{{cache}}": 'sum by (cache) (rate(hustlex_cache_requests_total{result!~"miss|bypass"}'
                f"[{RATE}])) / sum by (cache) (rate(hustlex_cache_requests_total[{RATE}]))"
            },
        ),
        (
            "Computations",
            "ops",
            {
                "{{cache}} {{result}}": _rate("hustlex_cache_computations_total", "cache, result"),
                "fill {{cache}} {{result}}": _rate("hustlex_cache_fills_total", "cache, result"),
                "wait {{cache}} {{result}}": _rate("hustlex_cache_waits_total", "cache, result"),
            },
        ),
        (
            "Invalidated, passed over",
            "ops",
            {
                "invalidated {{cache}}": _rate("hustlex_cache_invalidations_total", "cache"),
                "passed over {{cache}}": _rate("hustlex_cache_failures_total", "cache"),
            },
        ),
        ("Near copies", "short", {"{{cache}}": "sum by (cache) (hustlex_cache_near_entries)"}),
        ("Near copies, bytes", "bytes", {"{{cache}}": "sum by (cache) (hustlex_cache_near_bytes)"}),
        ("Near copies that made room", "ops", {"{{cache}}": _rate("hustlex_cache_near_evicted_total", "cache")}),
    ),
    "Events": (
        ("Live connections", "short", {"{{kind}}": "sum by (kind) (hustlex_event_streams)"}),
        ("Subscribers", "short", {"{{channel}}": "sum by (channel) (hustlex_event_subscribers)"}),
        ("Channels followed", "short", {"{{channel}}": "sum by (channel) (hustlex_event_channels)"}),
        ("Gaps", "ops", {"{{channel}} {{reason}}": _rate("hustlex_event_gaps_total", "channel, reason")}),
    ),
    "Redis": (
        ("Up", "short", {"{{role}}": "max by (role) (hustlex_redis_up)"}),
        ("Memory", "percentunit", {"{{role}}": "max by (role) (hustlex_redis_memory_ratio)"}),
        ("Connections", "short", {"{{role}}": "max by (role) (hustlex_redis_clients)"}),
        ("Replica silent", "s", {"{{role}}": "max by (role) (hustlex_redis_replica_silent_seconds)"}),
        ("Evicted", "ops", {"{{role}}": _rate("hustlex_redis_evicted_total", "role")}),
        ("Calls", "ops", {"{{outcome}}": _rate("hustlex_calls_total", "outcome")}),
        ("Calls by operation", "ops", {"{{op}}": f"topk(10, {_rate('hustlex_calls_total', 'op')})"}),
        ("Duration by room, 95 of 100", "s", {"{{room}}": _p95("hustlex_call_duration_seconds", "room")}),
        ("In flight", "short", {"{{instance}}": "sum by (instance) (hustlex_calls_in_flight)"}),
        ("Our connections", "short", {"{{role}} {{state}}": "sum by (role, state) (hustlex_connections)"}),
        ("Dials", "ops", {"{{role}} {{outcome}}": _rate("hustlex_dials_total", "role, outcome")}),
        ("Repeated", "ops", {"{{role}}": _rate("hustlex_call_repeats_total", "role")}),
        ("Done without", "short", {"{{breaker}}": "max by (breaker) (hustlex_breaker_open)"}),
        ("Slow calls", "ops", {"{{op}}": _rate("hustlex_slow_calls_total", "op")}),
        ("Doctor: 1 warns, 2 fails", "short", {"{{role}} {{check}}": "max by (role, check) (hustlex_doctor) > 0"}),
    ),
    "About this page": (
        ("Versions", "short", {"{{version}} on {{python}}": "count by (version, python) (hustlex_build_info)"}),
        (
            "What is not told",
            "short",
            {
                "not readable: {{part}}": "max by (part) (hustlex_scrape_errors)",
                "queues left out": "max(hustlex_queues_left_out)",
                "folded: {{metric}}": "max by (metric) (hustlex_labels_folded)",
            },
        ),
    ),
}


def dashboard() -> dict[str, Any]:
    """The whole of it."""
    variables = [_source(), _variable("queue", "hustlex_queue_tasks"), _variable("type", "hustlex_tasks_total")]
    panels = list(_panels())
    return {
        "title": "hustlex",
        "uid": "hustlex",
        "tags": ["hustlex"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": variables},
        "panels": panels,
    }


def _panels() -> Iterator[dict[str, Any]]:
    ids, y = count(1), 0
    for title, row in ROWS.items():
        yield {
            "id": next(ids),
            "type": "row",
            "title": title,
            "collapsed": False,
            "panels": [],
            "gridPos": _place(0, y, 24, 1),
        }
        y += 1
        for position, (name, unit, expressions) in enumerate(row):
            yield _panel(next(ids), name, unit, expressions, _place(8 * (position % 3), y + 7 * (position // 3), 8, 7))
        y += 7 * -(-len(row) // 3)


def _panel(number: int, title: str, unit: str, expressions: dict[str, str], place: dict[str, int]) -> dict[str, Any]:
    return {
        "id": number,
        "type": "timeseries",
        "title": title,
        "datasource": SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "options": {
            "legend": {"displayMode": "list", "placement": "bottom"},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        "targets": [
            {"refId": chr(ord("A") + at), "datasource": SOURCE, "expr": expression, "legendFormat": legend}
            for at, (legend, expression) in enumerate(expressions.items())
        ],
    }


def _place(x: int, y: int, w: int, h: int) -> dict[str, int]:
    return {"x": x, "y": y, "w": w, "h": h}


def _source() -> dict[str, Any]:
    return {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Data source"}


def _variable(label: str, metric: str) -> dict[str, Any]:
    query = f"label_values({metric}, {label})"
    return {
        "name": label,
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": query, "refId": label},
        "definition": query,
        "refresh": 2,
        "includeAll": True,
        "multi": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }


def text() -> str:
    """As it stands in the package."""
    return json.dumps(dashboard(), indent=1, ensure_ascii=False) + "\n"
