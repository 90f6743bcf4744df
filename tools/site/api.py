"""The API reference: each public name of each public module, with its signature and what its docstring says.

It is made from the code whenever the site is built, and stands in no repository: nothing of it can be stale.
"""

from __future__ import annotations

import enum
import importlib
import inspect
import re
from collections.abc import Iterator
from datetime import timedelta
from types import ModuleType
from typing import Any

import msgspec

from hustlex.ratelimit.policy.guarantees import spoken
from tools.gen_docs import field_docs

MODULES = (
    *("hustlex", "hustlex.sync", "hustlex.errors", "hustlex.otp", "hustlex.tokens", "hustlex.ratelimit"),
    *("hustlex.idempotency", "hustlex.pins", "hustlex.cache", "hustlex.jobs", "hustlex.events", "hustlex.worker"),
    *("hustlex.web", "hustlex.dashboard", "hustlex.delivery", "hustlex.outbox", "hustlex.testing"),
    *("hustlex.diagnostics", "hustlex.metrics", "hustlex.otel", "hustlex.flask", "hustlex.django", "hustlex.settings"),
)
_LONGEST = 96


def pages() -> dict[str, str]:
    """Each page by its place on the site."""
    made = {f"reference/api/{name}.md": page(importlib.import_module(name)) for name in MODULES}
    about = "Every public name, with its signature. Made from the code."
    rows = [f"| [{name}]({name}.md) | {_summary(importlib.import_module(name))} |" for name in MODULES]
    index = "\n".join([f"# API\n\n{about}\n", "| module | what it has |", "| --- | --- |", *rows])
    return {"reference/api/index.md": index + "\n"} | made


def public_names(module: ModuleType) -> list[str]:
    """What it exports; of a module without ``__all__`` what it defines."""
    if hasattr(module, "__all__"):
        return sorted(module.__all__)
    own = [name for name, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__]
    return sorted(name for name in own if not name.startswith("_"))


def page(module: ModuleType) -> str:
    """One module."""
    parts = [f"# {module.__name__}", _prose((module.__doc__ or "").partition("\n\n")[0])]
    room = module.__name__.rpartition(".")[2]
    for name in sorted(public_names(module), key=lambda name: (name.lower() != room, _rank(getattr(module, name)))):
        parts += _described(name, getattr(module, name))
    return "\n\n".join(part for part in parts if part) + "\n"


def _rank(value: Any) -> int:
    """What is called comes first, then what is passed and returned, then names for types and constants."""
    if not inspect.isclass(value):
        return 1 if inspect.isroutine(value) else 4
    if issubclass(value, enum.Enum | BaseException):
        return 3
    return 2 if issubclass(value, msgspec.Struct) else 0


def _described(name: str, value: Any) -> Iterator[str]:
    yield f"## {name} {{ #{name} }}"
    if inspect.isclass(value):
        yield from _class(name, value)
    elif inspect.isroutine(value):
        yield _code(_signature(name, value))
        yield _prose(inspect.getdoc(value))
    else:
        shown = re.sub(r"<[^<>]* at 0x\w+>|\bhustlex\.[\w.]+\.", "", repr(value))
        yield _code(f"{name} = {shown}" if len(shown) < 2_000 else name)


def _class(name: str, kind: type) -> Iterator[str]:
    bases = ", ".join(base.__name__ for base in kind.__bases__ if base not in (object, msgspec.Struct))
    if issubclass(kind, enum.Enum):
        yield _code("\n".join([f"class {name}({bases})", *(f"    {each.name} = {each.value!r}" for each in kind)]))
    elif issubclass(kind, msgspec.Struct):
        yield _code("\n".join([f"class {name}({bases})" if bases else f"class {name}", *_fields(kind)]))
    elif "__init__" in vars(kind):
        yield _code(_signature(f"class {name}", vars(kind)["__init__"]))
    else:
        yield _code(f"class {name}({bases})" if bases else f"class {name}")
    yield _prose(vars(kind).get("__doc__") or "")
    yield from _documented_fields(kind)
    yield from _methods(name, kind)


def _fields(kind: Any) -> Iterator[str]:
    """Without evaluating their annotations, some of which only type checkers can read."""
    told: dict[str, Any] = {}
    for base in reversed(kind.__mro__):
        told |= vars(base).get("__annotations__", {})
    names, defaults = kind.__struct_fields__, kind.__struct_defaults__
    required = len(names) - len(defaults)
    for name, default in zip(names, (*[inspect.Parameter.empty] * required, *defaults), strict=True):
        given = "" if default in (inspect.Parameter.empty, msgspec.NODEFAULT) else f" = {_shown(default)}"
        yield f"    {name}: {_annotation(told[name])}{given}"


def _documented_fields(kind: type) -> Iterator[str]:
    try:
        meanings = field_docs(kind)
    except (OSError, TypeError, KeyError):
        return
    if meanings:
        yield "\n".join(f"- `{field}`: {meaning}." for field, meaning in meanings.items())


def _methods(name: str, kind: type) -> Iterator[str]:
    for method, found in vars(kind).items():
        function = found.__func__ if isinstance(found, classmethod | staticmethod) else found
        computed = getattr(function, "fget", None) or getattr(function, "_make", None)
        if method.startswith("_") or not (inspect.isfunction(function) or computed):
            continue
        yield f"### {name}.{method} {{ #{name}.{method} }}"
        if computed:
            yield _code(f"{method}: {_annotation(inspect.get_annotations(computed).get('return', 'Any'))}")
        else:
            yield _code(_signature(method, function))
        yield _prose(inspect.getdoc(computed or function))


def _signature(name: str, function: Any) -> str:
    """As it stands in the source: annotations in words, defaults as a reader would write them."""
    signature = inspect.signature(function)
    given = [_parameter(each) for each in signature.parameters.values() if each.name != "self"]
    kinds = [each.kind for each in signature.parameters.values() if each.name != "self"]
    first_named = next((n for n, kind in enumerate(kinds) if kind is inspect.Parameter.KEYWORD_ONLY), None)
    if first_named is not None and inspect.Parameter.VAR_POSITIONAL not in kinds:
        given.insert(first_named, "*")
    head = name if name.startswith("class ") else f"{'async ' * _awaited(function)}def {name}"
    result = signature.return_annotation
    tail = "" if name.startswith("class ") or result is signature.empty else f" -> {_annotation(result)}"
    line = f"{head}({', '.join(given)}){tail}"
    if len(line) <= _LONGEST:
        return line
    body = "".join(f"    {each},\n" for each in given)
    return f"{head}(\n{body}){tail}"


def _awaited(function: Any) -> bool:
    return inspect.iscoroutinefunction(inspect.unwrap(function))


def _parameter(parameter: inspect.Parameter) -> str:
    stars = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
    told = f"{stars}{parameter.name}"
    if parameter.annotation is not parameter.empty:
        told += f": {_annotation(parameter.annotation)}"
    return told if parameter.default is parameter.empty else f"{told} = {_shown(parameter.default)}"


def _annotation(told: Any) -> str:
    text = told if isinstance(told, str) else getattr(told, "__name__", "") if isinstance(told, type) else repr(told)
    return re.sub(r"\b(?:typing|collections\.abc|datetime|hustlex(?:\.\w+)+)\.", "", text)


def _shown(value: Any) -> str:
    if isinstance(value, timedelta):
        return f"timedelta({spoken(value)})" if value else "timedelta(0)"
    if inspect.isroutine(value) or isinstance(value, type | ModuleType):
        return str(value.__name__)
    text = repr(value)
    return "..." if " at 0x" in text or len(text) > 60 else text


def _prose(text: str | None) -> str:
    """A docstring as Markdown: what is indented below a line belongs to it."""
    if not text:
        return ""
    paragraphs = inspect.cleandoc(text).split("\n\n")
    return "\n\n".join(_lines(paragraph) for paragraph in paragraphs)


def _lines(paragraph: str) -> str:
    """Lines that begin with ``name:`` are a list of arguments."""
    text = paragraph.replace("``", "`")
    return re.sub(r"^(?=(?:\w+, )*\w+: )", "\n", text, count=1, flags=re.MULTILINE) if "\n" in text else text


def _code(text: str) -> str:
    return f"```python\n{text}\n```"


def _summary(module: ModuleType) -> str:
    return " ".join((module.__doc__ or "").split("\n\n")[0].split()).replace("``", "`").replace("|", "\\|")
