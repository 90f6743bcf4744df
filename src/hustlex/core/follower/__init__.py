"""Following a log, whatever breaks: what is asked and learned says the ``Log``; the one loop is in ``aio.py`` for tasks
and, generated, in ``blocking.py`` for threads. Revocations, what a job tells and channels of events are such logs.
"""

from hustlex.core.follower.log import Ask, Listen, Log

__all__ = ["Ask", "Listen", "Log"]
