"""The listing of public names, what it asks of the changelog, one word for one thing, and codes of errors."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path

import pytest

from hustlex import errors
from tools.surface import CHANGELOG, LISTING, MODULES, lines, marked, unlogged
from tools.words import EXCEPTIONS, synonyms

ROOT = Path(__file__).parents[2]
BEFORE = "".join(
    f"  {line}\n"
    for line in (
        "async hustlex.jobs.Jobs.enqueue(job: Job, *, queue: str) -> Placed",
        "class hustlex.jobs.Gone(Failure)",
        "class hustlex.jobs.Jobs()",
        "hustlex.jobs.Gone.id: str",
    )
)
AFTER = [
    "async hustlex.jobs.Jobs.enqueue(job: Job, *, queue: str, at_front: bool = False) -> Placed",
    "async hustlex.jobs.Jobs.explain(task_id: str) -> Explanation",
    "class hustlex.jobs.Jobs()",
]


def changelog(*entries: str) -> str:
    return (
        "# Changelog\n\n## Unreleased\n\n### Added\n\n" + "".join(f"- {entry}\n" for entry in entries) + "\n## 0.1.0\n"
    )


def test_what_came_and_went_since_the_release_is_marked_until_the_next_one() -> None:
    listing = marked(BEFORE, AFTER)
    assert [line[:2] for line in listing.splitlines()] == ["- ", "- ", "  ", "+ ", "- ", "+ "]
    assert marked(listing, AFTER) == listing
    assert marked(listing, [line[2:] for line in BEFORE.splitlines()]) == marked(
        "", [line[2:] for line in BEFORE.splitlines()]
    )
    assert "+ " not in marked("", AFTER)


def test_each_mark_wants_a_line_under_unreleased() -> None:
    listing = marked(BEFORE, AFTER)
    assert len(unlogged(listing, changelog())) == 3
    told = ["`jobs.enqueue` takes `at_front`.", "`hx.jobs.explain` tells why.", "`Gone` is gone."]
    assert unlogged(listing, changelog(*told)) == []
    for left_out, name in zip(told, ("enqueue", "explain", "Gone"), strict=True):
        (complaint,) = unlogged(listing, changelog(*(entry for entry in told if entry != left_out)))
        assert name in complaint
    assert unlogged(listing, changelog("`jobs.enqueue` is faster.", *told[1:]))
    assert unlogged(listing, changelog().replace("## 0.1.0\n", "## 0.1.0\n\n" + "".join(f"- {t}\n" for t in told)))


def test_the_listing_is_whole_and_every_change_of_it_is_told() -> None:
    listing = LISTING.read_text("utf-8")
    assert marked(listing, now := lines()) == listing
    assert unlogged(listing, CHANGELOG.read_text("utf-8")) == []
    assert synonyms(now) == []
    assert all(len(reason) >= 5 for reason in EXCEPTIONS.values())
    assert {line.split(".")[1] for line in now if line.startswith("class hustlex.")} >= {"jobs", "otp", "web", "django"}


@pytest.mark.parametrize(
    "line",
    [
        "async hustlex.otp.Otp.issue(phone: str, *, uid: Id = '') -> IssueResult",
        "hustlex.otp.Policy.lifetime: timedelta = 5 min",
        "hustlex.otp.Limits.device_life: timedelta = 180 d",
        "hustlex.web.body_limit(most: int) -> Callable[[], Awaitable[None]]",
    ],
)
def test_a_synonym_is_refused(line: str) -> None:
    assert [complaint for complaint in synonyms([line]) if "call it so" in complaint]


def test_whatever_users_import_is_exported_by_its_module() -> None:
    assert all(importlib.import_module(path).__all__ for path in MODULES)
    blocks = re.compile(r"^```python ?\S*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    pages = [ROOT / "README.md", *(ROOT / "docs" / "guides").glob("*.md"), *(ROOT / "docs" / "migrating").glob("*.md")]
    codes = {path.name: "\n".join(blocks.findall(path.read_text("utf-8"))) for path in pages}
    examples = [
        path for path in (ROOT / "examples").rglob("*.py") if "gigs" not in path.parts and path.name != "run.py"
    ]
    codes |= {str(path.relative_to(ROOT)): path.read_text("utf-8") for path in examples}
    imports = re.compile(r"^\s*from (hustlex[\w.]*) import (\(.*?\)|[^\n]*)", re.MULTILINE | re.DOTALL)
    found = []
    for page, code in codes.items():
        for module, names in imports.findall(code):
            known = [*getattr(importlib.import_module(module), "__all__", ()), *(f"{path}"[8:] for path in MODULES)]
            used = re.findall(r"\b(\w+)(?: as \w+)?", re.sub(r" as \w+|#.*", "", names))
            found += [f"{page}: {module}.{name}" for name in used if module not in MODULES or name not in known]
    assert [each for each in found if each.partition(": ")[2] not in PRIVATE] == []


PRIVATE = {"hustlex.otp.totp.hotp", "hustlex.drivers.embedded.EmbeddedServer"}
"""What a page imports that is not public: an authenticator's own arithmetic, and a server for development."""


def test_every_error_has_a_code_of_its_own() -> None:
    found: dict[str, type] = {}
    for path in MODULES:
        module = importlib.import_module(path)
        for name in module.__all__:
            kind = getattr(module, name)
            if inspect.isclass(kind) and issubclass(kind, errors.Error):
                assert re.fullmatch(r"[a-z]+(_[a-z]+)*", vars(kind)["code"]), name
                assert found.setdefault(kind.code, kind) is kind, f"{name} and {found[kind.code].__name__}"
    assert len(found) > 20
    page = (ROOT / "docs" / "reference" / "errors.md").read_text("utf-8")
    assert [code for code in found if f"`{code}`" not in page] == []
