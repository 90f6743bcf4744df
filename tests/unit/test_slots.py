"""Every script's keys are in one cluster slot, whatever stands in for their placeholders.

``make cluster`` lets a server in cluster mode check the same of the calls that are really made.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hustlex.core.keys import slot
from tools.check_lua import is_script, lua_files, place

SCRIPTS = [path for path in lua_files() if is_script(path.read_text("utf-8"))]
PATTERN = re.compile(r"^-- (?:KEYS|TOUCHES) +(?:\S+ +[a-z]+ +)?(?P<key>\S*[{<:]\S*)", re.MULTILINE)
WHOLE = re.compile(r"whole as the [a-z']+ tag \{<([a-z ]+)>\}")
"""A key without a tag of its own, whose whole name is the tag of the others."""


def keys_of(source: str, number: int) -> list[str]:
    """The keys that the header names, each placeholder filled: one name, one value."""
    found = []
    for line in source.splitlines():
        whole = WHOLE.search(line)
        filled = re.sub(r"<([a-z ]+)>", lambda name: f"{name[1].replace(' ', '-')}-{number}", line)
        if match := PATTERN.match(filled):
            found.append(f"{whole[1]}-{number}" if whole else match["key"].rstrip(",;"))
    return found


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: ".".join(place(path)))
def test_the_keys_of_a_script_share_a_slot(path: Path) -> None:
    source = path.read_text("utf-8")
    for number in range(20):
        assert len({slot(key) for key in keys_of(source, number)}) <= 1, keys_of(source, number)


def test_the_headers_are_read() -> None:
    read = {path: keys_of(path.read_text("utf-8"), 0) for path in SCRIPTS}
    silent = [path.stem for path, keys in read.items() if not keys and "\n-- KEYS" in path.read_text("utf-8")]
    borrowed = [path.stem for path in SCRIPTS if " as in " in path.read_text("utf-8")]
    assert set(silent) <= set(borrowed)
    assert sum(len(keys) > 1 for keys in read.values()) > len(SCRIPTS) * 0.5
    assert keys_of("-- KEYS a hash x:{<b>}:y\n-- KEYS c set z:{<d>}", 1) == ["x:{b-1}:y", "z:{d-1}"]
