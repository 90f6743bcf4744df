"""What ``HustleX(hook=...)`` is given and gives back: import these names from here.

```python
from hustlex.telemetry import CallEnd, CallStart, End
```
"""

from __future__ import annotations

import sys

from hustlex.core.telemetry import (
    AttemptEnd,
    AttemptStart,
    CallEnd,
    CallStart,
    Combined,
    DoorEnd,
    End,
    Hook,
    Telemetry,
)

__all__ = [
    "AttemptEnd",
    "AttemptStart",
    "CallEnd",
    "CallStart",
    "Combined",
    "DoorEnd",
    "End",
    "Hook",
    "Telemetry",
    "process_hook",
]


def process_hook() -> Hook:
    """What a process of an application tells, in one word: ``HustleX(url, hook=process_hook())``.

    Its metrics, ``process_metrics()``. And traces, ``OpenTelemetry()``, where a tracer provider has been set by now: by
    the application (``trace.set_tracer_provider``) or by ``opentelemetry-instrument``. ``hustlex worker`` and ``hustlex
    scheduler`` look for it once their modules are loaded. HUSTLEX_TRACE_CALLS and HUSTLEX_TRACE_PARENT say what is
    traced. Raises ConfigurationError for settings that are none.
    """
    from hustlex.metrics import process_metrics

    metrics = process_metrics()
    return together(metrics, tracing()) or metrics


def tracing() -> Hook | None:
    """``OpenTelemetry`` where this process has a tracer provider; None: nobody looks, and nothing is loaded."""
    if "opentelemetry.trace" not in sys.modules:
        return None
    from hustlex.otel.hook import configured

    return configured()


def together(*hooks: Hook | None) -> Hook | None:
    """Those there are, as one; None where there are none."""
    found = [hook for hook in hooks if hook is not None]
    if len(found) < 2:
        return found[0] if found else None
    return Combined(*found)
