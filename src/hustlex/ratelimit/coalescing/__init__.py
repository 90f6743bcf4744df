"""Usual checks that are asked for while others are on their way go together, at the end of the event loop's turn.

``aio`` has what shares calls; in ``blocking`` each check is a call of its own.
"""
