"""Where templates of the console show what may be anybody's text, and whether hostile text was shown there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from jinja2 import Environment, nodes
from jinja2.visitor import NodeTransformer
from markupsafe import Markup

SHOWN = ("excerpt", "full")
"""Calls that show a value as far as it may be seen; ``visible`` is the filter that does."""


class Watching(Environment):
    """Tells of each place in a template whether some text was written there.

    A place is the template and the expression: those that pass a filter or call for free text, and names alone.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.globals["took"] = self.took
        self.places: dict[str, set[str]] = {}
        self.empty = set[str]()
        """Texts by place; a place where no text was written, but numbers, has none."""

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        _Marked(self, str(name)).visit(tree)
        return tree

    def took(self, place: str, value: Any) -> Any:
        """A value passes on its way to the page."""
        if isinstance(value, str) and not isinstance(value, Markup):
            self.places[place].add(value)
        else:
            self.empty.add(place)
        return value


class _Marked(NodeTransformer):
    def __init__(self, environment: Watching, template: str) -> None:
        self.environment = environment
        self.template = template

    def visit_Output(  # noqa: N802
        self, node: nodes.Output
    ) -> nodes.Output:
        node.nodes = [self._marked(each) for each in node.nodes]
        return node

    def _marked(self, node: nodes.Expr) -> nodes.Expr:
        if isinstance(node, nodes.CondExpr):
            node.expr1 = self._marked(node.expr1)
            node.expr2 = node.expr2 and self._marked(node.expr2)
            return node
        said = _said(node)
        if said is None:
            return node
        place = f"{self.template}: {said}"
        self.environment.places.setdefault(place, set())
        taken = nodes.Call(nodes.Name("took", "load"), [nodes.Const(place), node], [], None, None)
        return taken.set_lineno(node.lineno).set_environment(self.environment)


def _said(node: nodes.Node | None) -> str | None:
    """The expression, where its value is free text; None for what makes words, numbers or elements of it."""
    match node:
        case nodes.Filter(name="visible" | "short"):
            return _said(node.node) or "".join(_names(node))
        case nodes.Call(node=nodes.Name(name=called)) if called in SHOWN:
            return f"{called}({' '.join(_names(node.args[0]))})"
        case nodes.Name():
            return node.name
        case nodes.Getattr():
            return f"{_said(node.node) or '?'}.{node.attr}"
        case nodes.Getitem():
            return f"{_said(node.node) or '?'}[]"
        case nodes.Or():
            return " ".join(_names(node))
    return None


def _names(node: nodes.Node) -> Iterator[str]:
    if isinstance(node, nodes.Name | nodes.Getattr):
        yield _said(node) or "?"
    else:
        for child in node.iter_child_nodes():
            yield from _names(child)


OURS = {
    "*": """form_token request.root here back verb title label name each group.signature row.share page.title
        each.room each.policy each.title""",
    "audit.html": "row.id row.detail row.via",
    "base.html": "address again.seconds does icon key nonce operator.level said script style version",
    "bulk.html": "bulk.id report.last report.number sentence told[]",
    "bulks.html": "each.id each.verb.value",
    "cache.html": "entry.lease said",
    "codes.html": "each.scope.value",
    "confirm.html": "act.title act.warning",
    "enter.html": "wrong",
    "error.html": "do length words",
    "home.html": "jobs.all_queues more row.counted[] row.name row.share_of row.title trouble.level trouble.link",
    "limits.html": "each.level mark.policy sheet",
    "parts.html": """?[] each.most each.note each.now each.process first found.left_out history.more history.page.each
        history.page.share[] list.first next right role spec word words zone""",
    "people.html": """claim.status codes.ref each.lane each.purpose each.question each.scope each.session_id each.words
        lane.lane limit.name path_of_user person.limits_left person.reference sentence task.id value""",
    "problem.html": "full(hint)",
    "quarantine.html": "begin",
    "queue.html": "day.day",
    "queues.html": "serving",
    "redis.html": """caption each.frequency each.part each.state finding.check finding.hint finding.role left_out
        refusal right server.mode server.policy server.version unchecked""",
    "tail.html": "?[] each.missing each.position most most_each tail.silence tail.trouble",
    "task.html": "gap step.cause.value word",
    "tasks.html": "state",
    "workers.html": "more",
    "workflow.html": "?[] left_out",
}
"""Texts that this package makes: words, ids, numbers."""
CHECKED = {
    "codes.html": "each.name",
    "entry.html": "schedule.spec",
    "events.html": "channel listeners",
    "limits.html": "endpoint rule",
    "people.html": "excerpt(name) path phone",
    "redis.html": "each.command.key each.command.name each.command.script each.pattern",
    "tail.html": "tail.channel",
}
"""Texts that are shown in the form that a check let pass: specs, channels, rules, phones, patterns of keys."""
ELSEWHERE = {"redis.html": "each.detail each.node node.name server.source"}
"""Texts of replicas, and of several nodes."""
HOSTILE = re.compile("<|%3C|~3c")
"""As it is, or as addresses have it."""


def unproven(environment: Watching) -> Iterator[str]:
    """Places where hostile text should have been shown and was not. Numbers and elements are no text."""
    for name in environment.list_templates():
        environment.get_template(name)
    for place, texts in sorted(environment.places.items()):
        template, _, said = place.partition(": ")
        tables = (OURS.get("*", ""), *(table.get(template, "") for table in (OURS, CHECKED, ELSEWHERE)))
        free = (texts or place not in environment.empty) and said not in " ".join(tables).split()
        if free and not any(map(HOSTILE.search, texts)):
            yield f"{place} {sorted(texts)[:2]}"


def outdated(environment: Watching) -> list[str]:
    """Of the tables, what stands in no template any more."""
    known = {place.partition(": ")[::2] for place in environment.places}
    listed = {(template, said) for table in (OURS, CHECKED, ELSEWHERE) for template, row in table.items()
              for said in row.split() if template != "*"}  # fmt: skip
    return [": ".join(each) for each in sorted(listed - known)]
