from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
from prometheus_client.parser import text_string_to_metric_families

from hustlex.metrics import Metrics

Numbers = Mapping[tuple[str, tuple[str, ...]], float]
"""By name of a sample and the values of its labels, in the order of their names."""


def numbers(text: bytes) -> Numbers:
    """What a server of metrics reads; judged by the client of the field."""
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def told(metrics: Metrics) -> Callable[[], Numbers]:
    """What the metrics tell now."""
    return lambda: numbers(metrics.text())
