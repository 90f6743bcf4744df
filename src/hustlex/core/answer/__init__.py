"""What an asynchronous door gives back before it is awaited: nothing that could be taken for its answer.

An ``async def`` would give a coroutine, and every coroutine is true: ``if hx.ratelimit.check(...)`` without ``await``
would let everybody through. ``aio`` has the stand-in that says so; in ``blocking`` the answer is the answer.
"""
