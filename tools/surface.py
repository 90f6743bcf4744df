"""The public surface, one line for each name with its signature; what changed since the last release is marked.

``docs/reference/surface.txt`` is written by ``make fix``. A line begins with ``+`` when it is new since the release and
with ``-`` when it is gone; a changed name has both. Whatever is marked stands in CHANGELOG.md under *Unreleased*.
``python -m tools.surface --released`` takes the marks away: with a release, what is there is what is promised.
"""

from __future__ import annotations

import ast
import enum
import functools
import importlib
import inspect
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from datetime import timedelta
from pathlib import Path
from typing import Any, get_overloads, is_typeddict

import msgspec

from hustlex.core.lazy import lazy
from hustlex.ratelimit.policy.guarantees import spoken
from tools.check_exports import ROOMS

ROOT = Path(__file__).parent.parent
LISTING = ROOT / "docs" / "reference" / "surface.txt"
CHANGELOG = ROOT / "CHANGELOG.md"
MODULES = tuple(
    ["hustlex", "hustlex.sync", "hustlex.errors", "hustlex.settings", "hustlex.telemetry"]
    + [f"hustlex.{room}" for room in (*ROOMS, "dashboard", "django", "flask")]
)
"""Where users import from."""
_SPOKEN = ("__call__", "__aenter__", "__enter__", "__aiter__", "__iter__")
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def lines() -> list[str]:
    """The surface now, in order."""
    return sorted({line for module in MODULES for line in _of_module(module)})


def _of_module(path: str) -> Iterator[str]:
    module = importlib.import_module(path)
    for name in module.__all__:
        value = getattr(module, name)
        if inspect.isclass(value):
            yield from _of_class(f"{path}.{name}", value)
        elif inspect.isroutine(value) or inspect.isfunction(value):
            yield from signatures(f"{path}.{name}", value)
        elif name != "__version__":
            yield f"{path}.{name} = {_shown(value)}"


def _of_class(name: str, kind: type) -> Iterator[str]:
    bases = ", ".join(base.__name__ for base in kind.__bases__ if base not in (object, msgspec.Struct))
    yield f"class {name}({bases})"
    if issubclass(kind, enum.Enum):
        yield from (f"{name}.{member.name} = {member.value!r}" for member in kind)
    yield from fields(name, kind)
    if "__init__" in vars(kind) and not issubclass(kind, msgspec.Struct):
        yield from signatures(f"{name}.__init__", kind.__init__)  # type: ignore[misc]
    for attribute, value in members(kind).items():
        full = f"{name}.{attribute}"
        if isinstance(value, property | lazy | functools.cached_property):
            made = getattr(value, "fget", None) or getattr(value, "_make", None) or getattr(value, "func", None)
            yield f"{full}: {_text(made.__annotations__.get('return', 'Any'))}"  # type: ignore[union-attr]
        elif callable(function := getattr(value, "__func__", value)):
            yield from signatures(full, function)
    yield from (f"{name}.{attribute}" for attribute in _set_by_init(kind))


@functools.cache
def _exported() -> frozenset[object]:
    modules = [importlib.import_module(path) for path in MODULES]
    found = (getattr(module, name) for module in modules for name in module.__all__)
    return frozenset(value for value in found if inspect.isclass(value))


def members(kind: type) -> dict[str, Any]:
    """What a class of ours defines for users, and a base of it that is not public itself."""
    found: dict[str, Any] = {}
    for owner in reversed(kind.__mro__):
        inherited = owner.__module__.startswith("hustlex.") and owner.__module__ != "hustlex.core.outcome"
        if owner is kind or (inherited and owner not in _exported()):
            found |= {name: value for name, value in vars(owner).items() if name[:1] != "_" or name in _SPOKEN}
    useful = (property, lazy, functools.cached_property, staticmethod, classmethod)
    return {name: value for name, value in found.items() if isinstance(value, useful) or inspect.isfunction(value)}


def fields(name: str, kind: type) -> Iterator[str]:
    """Of structs, typed dicts and classes that declare their attributes."""
    if issubclass(kind, msgspec.Struct):
        names, defaults = kind.__struct_fields__, kind.__struct_defaults__
        given = dict(zip(names[len(names) - len(defaults) :], defaults, strict=True))
        for field in names:
            default = given.get(field, msgspec.NODEFAULT)
            text = "" if default is msgspec.NODEFAULT else f" = {_shown(default)}"
            yield f"{name}.{field}: {_annotation(kind, field)}{text}"
    elif is_typeddict(kind) or not issubclass(kind, enum.Enum | BaseException):
        yield from (f"{name}.{each}: {_annotation(kind, each)}" for each in _annotations(kind) if each[:1] != "_")


def _annotations(kind: type) -> Mapping[str, Any]:
    return inspect.get_annotations(kind)


def _annotation(kind: type, field: str) -> str:
    for owner in kind.__mro__:
        if field in (found := inspect.get_annotations(owner)):
            return _text(found[field])
    return "Any"


def signatures(name: str, function: Callable[..., Any]) -> Iterator[str]:
    """One line, or one for each of its overloads."""
    plain = inspect.unwrap(function)
    for each in get_overloads(plain) or [plain]:
        word = "async " if inspect.iscoroutinefunction(each) or inspect.isasyncgenfunction(each) else ""
        try:
            signature = inspect.signature(each)
        except ValueError:
            continue
        result = signature.return_annotation
        answer = "" if result in (signature.empty, "None", None) else f" -> {_text(result)}"
        yield f"{word}{name}({', '.join(_arguments(signature))}){answer}"


def _arguments(signature: inspect.Signature) -> Iterator[str]:
    starred = False
    for parameter in signature.parameters.values():
        if parameter.name in ("self", "cls"):
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not starred:
            yield "*"
        starred = starred or parameter.kind in (parameter.KEYWORD_ONLY, parameter.VAR_POSITIONAL)
        stars = {"VAR_POSITIONAL": "*", "VAR_KEYWORD": "**"}.get(parameter.kind.name, "")
        kind = "" if parameter.annotation is parameter.empty else f": {_text(parameter.annotation)}"
        given = "" if parameter.default is parameter.empty else f" = {_shown(parameter.default)}"
        yield f"{stars}{parameter.name}{kind}{given}"


def _text(annotation: object) -> str:
    """An annotation as its author wrote it."""
    written = getattr(annotation, "__forward_arg__", annotation)
    if isinstance(written, type) and not hasattr(written, "__args__"):
        return written.__name__
    return re.sub(r"\b(?:typing|collections\.abc|datetime|hustlex(?:\.\w+)*)\.", "", str(written))


def _shown(value: object) -> str:
    """A default, without what differs from run to run."""
    if isinstance(value, timedelta):
        return spoken(value) if value else "0 s"
    if isinstance(value, enum.Enum):
        return f"{type(value).__name__}.{value.name}"
    if isinstance(value, frozenset | set):
        return "{" + ", ".join(sorted(map(_shown, value))) + "}"
    if isinstance(value, tuple | list):
        return "(" + ", ".join(map(_shown, value)) + ")"
    if isinstance(value, msgspec.Struct) or (isinstance(value, Mapping) and value) or _ADDRESS.search(repr(value)):
        return "..."
    return "..." if value is ... else getattr(value, "__name__", None) or repr(value)


def _set_by_init(kind: type) -> list[str]:
    """Public attributes that a constructor sets: parts of a room, as ``inspector``."""
    made = vars(kind).get("__init__")
    if made is None or not inspect.isfunction(made) or not made.__module__.startswith("hustlex."):
        return []
    body = ast.parse(textwrap.dedent(inspect.getsource(made)))
    set_here = (node for node in ast.walk(body) if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store))
    own = {node.attr for node in set_here if isinstance(node.value, ast.Name) and node.value.id == "self"}
    return sorted(name for name in own if name[0] != "_" and name not in inspect.get_annotations(kind))


def marked(known: str, now: Iterable[str]) -> str:
    """The listing anew: what was released, with what came and went since. known: the last listing, "" for none."""
    current = set(now)
    released = {line[2:] for line in known.splitlines() if line[:2] in ("  ", "- ")} if known else current
    marks = {line: "  " if line in released else "+ " for line in current}
    marks |= dict.fromkeys(released - current, "- ")
    order = sorted(marks, key=lambda line: (name_of(line), marks[line], line))
    return "".join(f"{marks[line]}{line}\n" for line in order)


def name_of(line: str) -> str:
    """``hustlex.jobs.Jobs.enqueue`` of its line."""
    found = re.match(r"(?:async |class )?([\w.]+)", line)
    return found[1] if found else line


def unlogged(listing: str, changelog: str) -> list[str]:
    """What is marked and no line under Unreleased names, each in a sentence.

    A new type, field or member is told with what gives or takes it, a class that goes with its members.
    """
    entries = list(_bullets(changelog))
    gone, new = _by_name(listing, "- "), _by_name(listing, "+ ")
    open_: dict[str, AbstractSet[str]] = {}
    told: set[str] = set()
    for name in sorted(gone.keys() | new.keys()):
        owner, last = _owner(name), name.rpartition(".")[2]
        topics = _changed(gone[name], new[name]) if name in gone and name in new else {last}
        if last in _SPOKEN or any(_names(entry, owner, last, topics or {last}) for entry in entries):
            told.add(name)
        else:
            open_[name] = topics or {last}
    while with_others := {name for name in open_.keys() - told if _goes_along(name, gone, new, told)}:
        told |= with_others
    silent = open_.keys() - told
    return [_sentence(name, gone, new, open_[name]) for name in open_ if name in silent and _owner(name) not in silent]


_Marked = Mapping[str, list[str]]


def _goes_along(name: str, gone: _Marked, new: _Marked, told: AbstractSet[str]) -> bool:
    """Whether a line of the changelog that speaks of something else speaks of this, too."""
    owner, last = _owner(name), name.rpartition(".")[2]
    if owner in told or (name not in gone and "(" not in new[name][0] and owner not in MODULES):
        return True
    using = (line for other in told for line in (*new.get(other, ()), *gone.get(other, ())))
    return owner in MODULES and any(re.search(rf"\b{last}\b", line) for line in using)


def _owner(name: str) -> str:
    return name.rpartition(".")[0]


def _sentence(name: str, gone: _Marked, new: _Marked, topics: AbstractSet[str]) -> str:
    what = "changed" if name in gone and name in new else "is new" if name in new else "is gone"
    return f"{name} {what}: say so in CHANGELOG.md under Unreleased ({', '.join(sorted(topics)[:5])})"


def _by_name(listing: str, mark: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in listing.splitlines():
        if line.startswith(mark):
            found.setdefault(name_of(line[2:]), []).append(line[2:])
    return found


def _changed(before: list[str], after: list[str]) -> AbstractSet[str]:
    """Words that stand in one of them alone."""
    return set(re.findall(r"[A-Za-z_]\w+", " ".join(before))) ^ set(re.findall(r"[A-Za-z_]\w+", " ".join(after)))


def _bullets(changelog: str) -> Iterator[str]:
    """Each line under Unreleased, with the heading it stands under."""
    part = re.search(r"^## Unreleased\n(.*?)(?=^## |\Z)", changelog, re.MULTILINE | re.DOTALL)
    heading = ""
    for block in re.split(r"\n(?=- |#)", part[1] if part else ""):
        if block.lstrip().startswith("#"):
            heading = block.strip("# \n")
        elif block.startswith("- "):
            yield f"{heading} {' '.join(block.split())}"


def _names(entry: str, owner: str, last: str, topics: AbstractSet[str]) -> bool:
    """Whether it speaks of one of the topics, and of whose they are: the class, or its room."""
    words = set(re.findall(r"\w+", entry)) | set(re.findall(r"\w+", entry.lower()))
    subjects = {last, *owner.split(".")[1:]}
    return any(topic in words and (owner in MODULES or words & (subjects - {topic})) for topic in topics)


def write(*, released: bool = False) -> str:
    """The listing as it should stand in its file."""
    known = "" if released or not LISTING.exists() else LISTING.read_text("utf-8")
    return marked(known, lines())


def main(arguments: list[str]) -> int:
    LISTING.write_text(write(released="--released" in arguments), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
