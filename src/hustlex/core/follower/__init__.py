"""Following a stream, whatever breaks: a ``Cursor`` says what to ask, and learns from answers.

The one loop is in ``aio.py`` for tasks and, generated, in ``blocking.py`` for threads. Revocations, what a job tells
and channels of events are followed so.
"""

from hustlex.core.follower.cursor import Ask, Cursor, Listen

__all__ = ["Ask", "Cursor", "Listen"]
