"""The release check sees what differs between two builds, and what is in a wheel that should not be."""

from __future__ import annotations

import base64
import hashlib
import io
import tarfile
import zipfile
from pathlib import Path

from tools.release import contents
from tools.release.build import digest, plain_sdist, plain_wheel

PROJECT = contents.PROJECT["project"]


def sdist(place: Path, *, order: int, when: int, owner: str) -> Path:
    place.mkdir()
    path = place / "hustlex-0.1.0.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name in ["hustlex-0.1.0/a.py", "hustlex-0.1.0/b.py"][::order]:
            member = tarfile.TarInfo(name)
            member.size, member.mtime, member.uname, member.mode = 4, when, owner, 0o664
            archive.addfile(member, io.BytesIO(b"pass"))
    return path


def test_an_sdist_knows_nothing_of_the_machine(tmp_path: Path) -> None:
    made = [
        sdist(tmp_path / "one", order=1, when=1, owner="ada"),
        sdist(tmp_path / "other", order=-1, when=2, owner="tunde"),
    ]
    assert digest(made[0]) != digest(made[1])
    for each in made:
        plain_sdist(each, 1_700_000_000)
    assert digest(made[0]) == digest(made[1])
    with tarfile.open(made[0]) as archive:
        assert {(each.mtime, each.uname, each.mode) for each in archive.getmembers()} == {(1_700_000_000, "", 0o644)}


def wheel(place: Path, *, version: str = PROJECT["version"], extra: str = "", right: int = 0o644) -> Path:
    """As it should be, but for what the test says."""
    path, folder = place / f"hustlex-{version}-py3-none-any.whl", f"hustlex-{version}.dist-info"
    fields = [
        ("Name", PROJECT["name"]), ("Version", PROJECT["version"]), ("Summary", PROJECT["description"]),
        ("Requires-Python", PROJECT["requires-python"]), ("License-Expression", "MIT"), ("License-File", "LICENSE"),
        ("Description-Content-Type", "text/markdown"), *(("Classifier", each) for each in PROJECT["classifiers"]),
        *(("Provides-Extra", each) for each in PROJECT["optional-dependencies"]),
        *(("Requires-Dist", each) for each in PROJECT["dependencies"]),
    ]  # fmt: skip
    files = dict.fromkeys((name.replace("hustlex.dist-info", folder) for name in contents.shipped()), b"x")
    files |= {extra: b"x"} if extra else {}
    files[f"{folder}/METADATA"] = "".join(f"{name}: {value}\n" for name, value in fields).encode()
    record = f"{folder}/RECORD"
    sums = {name: base64.urlsafe_b64encode(hashlib.sha256(text).digest()).rstrip(b"=") for name, text in files.items()}
    lines = [f"{name},sha256={told.decode()},1" for name, told in sums.items() if name != record]
    files[record] = "\n".join([*lines, f"{record},,"]).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = right << 16
            archive.writestr(info, text)
    return path


def test_a_wheel_knows_nothing_of_the_machine(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    made = [wheel(tmp_path / "one", right=0o600), wheel(tmp_path / "other", right=0o664)]
    assert digest(made[0]) != digest(made[1])
    for each in made:
        plain_wheel(each)
    assert digest(made[0]) == digest(made[1])
    assert contents.faults(made[0]) == []


def test_a_wheel_as_it_should_be_has_no_faults(tmp_path: Path) -> None:
    assert contents.faults(wheel(tmp_path)) == []


def test_what_was_not_signed_off_is_named(tmp_path: Path) -> None:
    [fault] = contents.faults(wheel(tmp_path, extra="hustlex/secret.env"))
    assert fault.startswith("hustlex/secret.env is in the wheel and was not signed off")


def test_a_program_that_others_may_write_is_named(tmp_path: Path) -> None:
    assert len(contents.faults(wheel(tmp_path, right=0o664))) == len(contents.shipped())
