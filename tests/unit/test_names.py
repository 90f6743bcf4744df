"""``tools.check_names``: what it finds, and what it lets pass."""

from __future__ import annotations

from pathlib import Path

from tools.check_names import PUBLIC, SOURCE, classes, main, shared


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


def test_one_name_for_two_things_is_found_and_twins_are_not(tmp_path: Path) -> None:
    files = [
        write(tmp_path, "one/types.py", "class Policy: ...\nclass Alone: ...\n"),
        write(tmp_path, "two/types.py", "class Policy: ...\n"),
        write(tmp_path, "one/aio.py", "class Pool: ...\n"),
        write(tmp_path, "one/blocking.py", "class Pool: ...\n"),
        write(tmp_path, "one/aio_too.py", "class Other: ...\n"),
        write(tmp_path, "two/blocking.py", "class Other: ...\n"),
    ]
    assert set(shared(classes(files))) == {"Policy", "Other"}


def test_the_two_drivers_are_twins() -> None:
    assert shared({"Driver": [SOURCE / "drivers/aio/driver.py", SOURCE / "drivers/blocking.py"]}) == {}


def test_the_package_holds_and_every_exception_has_its_reason() -> None:
    assert main() == 0
    assert all(len(reason) > 10 for reason in PUBLIC.values())
