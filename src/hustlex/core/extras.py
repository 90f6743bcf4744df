"""What comes with an extra and is not there: one sentence that names the extra."""

from __future__ import annotations

from importlib.util import find_spec

from hustlex.errors import NotInstalled


def installed(*modules: str) -> bool:
    """Whether all modules are there."""
    return all(find_spec(module) is not None for module in modules)


def require(who: str, extra: str, *modules: str) -> None:
    """Raise NotInstalled unless all modules are there."""
    for module in modules:
        if find_spec(module) is None:
            raise NotInstalled(f"{who} needs {module}, which is not installed", hint=f"pip install 'hustlex[{extra}]'")
