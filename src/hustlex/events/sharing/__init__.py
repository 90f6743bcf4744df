"""Publishes that are awaited while others are on their way go together, at the end of the event loop's turn.

``aio`` has what shares calls; in ``blocking`` each publish is a call of its own.
"""
