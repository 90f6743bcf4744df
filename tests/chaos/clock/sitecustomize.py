"""A process whose clock is wrong: Python imports this at its start, from a directory on PYTHONPATH."""

import os
import time

if _offset_s := int(os.environ.get("CHAOS_CLOCK_OFFSET_S", "0")):
    _time, _time_ns = time.time, time.time_ns
    time.time = lambda: _time() + _offset_s
    time.time_ns = lambda: _time_ns() + _offset_s * 10**9
