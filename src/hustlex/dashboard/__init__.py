"""The web console: everything the rooms know, watched, explained and acted on. Needs the extra ``hustlex[dashboard]``.

``app.mount("/ops", Dashboard(hx, access=who_may))``, or ``hustlex dashboard`` by itself.

How a request flows: ``app`` composes the parts and answers; ``guard`` refuses strange hosts and forged forms and writes
the headers; ``operators``, ``signin`` and ``proxy`` say who asks; ``routes`` names the page, which is
asked with a ``request``; ``pages/`` has one file for each page, which reads through the rooms' inspectors
(``hustlex.people`` for one person); ``acts`` does what buttons say, and
``audit`` writes it down; ``core.redact`` sees each value before ``render`` does (``words`` and ``charts`` are how
numbers look); ``live`` renders open pages anew for all who look.
"""

from hustlex.core.extras import require

require("hustlex.dashboard", "dashboard", "starlette", "jinja2")

from hustlex.core.redact import Formatter, Redacted, Redactor, What
from hustlex.dashboard.app import Dashboard
from hustlex.dashboard.operators import Access, Level, Operator
from hustlex.dashboard.proxy import BehindProxy
from hustlex.people.resend import Resend

__all__ = [
    "Access",
    "BehindProxy",
    "Dashboard",
    "Formatter",
    "Level",
    "Operator",
    "Redacted",
    "Redactor",
    "Resend",
    "What",
]
