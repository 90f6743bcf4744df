"""Long values in parts, as the scripts read them."""

from __future__ import annotations

from hustlex.core.parts import in_parts


def test_a_long_value_stands_in_parts() -> None:
    assert in_parts("to", b"") == []
    assert in_parts("to", b"x" * 64) == ["to", b"x" * 64]
    assert in_parts("to", bytes(130)) == ["to", bytes(64), "to2", bytes(64), "to3", bytes(2)]
