"""Traces and metrics for OpenTelemetry (``pip install 'hustlex[otel]'``): ``HustleX(url, hook=OpenTelemetry())``.

Needs the API alone; which SDK and exporter there is, the application says. See docs/guides/metrics.md.
"""

from hustlex.core.extras import require

require("hustlex.otel", "otel", "opentelemetry")

from hustlex.otel.hook import OpenTelemetry, Parent
from hustlex.otel.logs import trace_fields

__all__ = ["OpenTelemetry", "Parent", "trace_fields"]
