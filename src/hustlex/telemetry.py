"""What ``HustleX(hook=...)`` is given and gives back: import these names from here.

```python
from hustlex.telemetry import CallEnd, CallStart, End
```
"""

from hustlex.core.telemetry import (
    AttemptEnd,
    AttemptStart,
    CallEnd,
    CallStart,
    Combined,
    DoorEnd,
    End,
    Hook,
    Telemetry,
)

__all__ = [
    "AttemptEnd",
    "AttemptStart",
    "CallEnd",
    "CallStart",
    "Combined",
    "DoorEnd",
    "End",
    "Hook",
    "Telemetry",
]
