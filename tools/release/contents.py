"""What is in a wheel, held against what was signed off (docs/reference/wheel.txt) and against pyproject.toml."""

from __future__ import annotations

import base64
import csv
import hashlib
import tomllib
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
LIST = ROOT / "docs" / "reference" / "wheel.txt"
MOST_BYTES = 1_500_000
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
_INFO = ("METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE", "top_level.txt")


def shipped() -> list[str]:
    """The files that the source says are in a wheel; the version of the folder of metadata is left out."""
    patterns = ("*.py", *PROJECT["tool"]["setuptools"]["package-data"]["*"])
    source = ROOT / "src"
    files = {path.relative_to(source).as_posix() for each in patterns for path in (source / "hustlex").rglob(each)}
    return sorted(files | {f"hustlex.dist-info/{name}" for name in _INFO})


def faults(wheel: Path) -> list[str]:
    """What is wrong with it, one line each."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        found = [*_against_list(names), *_against_record(archive), *_metadata(archive)]
        wrong_rights = [info.filename for info in archive.infolist() if (info.external_attr >> 16) & 0o133]
    found += [f"{name} may be written by others, or is a program" for name in wrong_rights]
    if not wheel.name.endswith("-py3-none-any.whl"):
        found.append(f"{wheel.name} is for some machines or versions only")
    if wheel.stat().st_size > MOST_BYTES:
        found.append(f"it has {wheel.stat().st_size:,} bytes, and may have {MOST_BYTES:,}")
    return found


def _against_list(names: list[str]) -> list[str]:
    signed = LIST.read_text("utf-8").split()
    folder = next(name.partition("/")[0] for name in names if name.endswith(".dist-info/METADATA"))
    there = [name.replace(folder, "hustlex.dist-info", 1) for name in names]
    more, less = sorted(set(there) - set(signed)), sorted(set(signed) - set(there))
    return [
        *(f"{name} is in the wheel and was not signed off: is it in the commit? see `make docs`" for name in more),
        *(f"{name} was signed off and is missing" for name in less),
        *(f"{name} is in it twice" for name in sorted({each for each in there if there.count(each) > 1})),
    ]


def _against_record(archive: zipfile.ZipFile) -> list[str]:
    record = next(name for name in archive.namelist() if name.endswith(".dist-info/RECORD"))
    rows = {name: told for name, told, _ in csv.reader(archive.read(record).decode().splitlines())}
    wrong = []
    for name in archive.namelist():
        seen = base64.urlsafe_b64encode(hashlib.sha256(archive.read(name)).digest()).rstrip(b"=").decode()
        if name != record and rows.get(name) != f"sha256={seen}":
            wrong.append(f"{name} is not what RECORD says")
    return wrong


def _metadata(archive: zipfile.ZipFile) -> list[str]:
    name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
    told, project = Parser().parsestr(archive.read(name).decode("utf-8")), PROJECT["project"]
    wanted = {
        "Name": project["name"],
        "Version": project["version"],
        "Summary": project["description"],
        "Requires-Python": project["requires-python"],
        "License-Expression": project["license"],
        "License-File": "LICENSE",
        "Description-Content-Type": "text/markdown",
    }
    wrong = [f"{field} is {told[field]!r}, not {value!r}" for field, value in wanted.items() if told[field] != value]
    if sorted(told.get_all("Provides-Extra", [])) != sorted(project["optional-dependencies"]):
        wrong.append("Provides-Extra does not list the extras of pyproject.toml")
    if told.get_all("Classifier", []) != project["classifiers"]:
        wrong.append("Classifier does not list those of pyproject.toml")
    return wrong + _requirements(told)


def _requirements(told: Message) -> list[str]:
    """Whether the base needs what pyproject.toml says, and nothing comes from an address."""
    found = [Requirement(text) for text in told.get_all("Requires-Dist", [])]
    base = {str(each) for each in found if "extra ==" not in str(each.marker)}
    wanted = {str(Requirement(text)) for text in PROJECT["project"]["dependencies"]}
    wrong = [f"{each.name} comes from an address" for each in found if each.url]
    return wrong + [f"what it requires differs: {each}" for each in sorted(base ^ wanted)]
