"""Handing jobs over: their values and options, and the operations that place them in a queue."""
