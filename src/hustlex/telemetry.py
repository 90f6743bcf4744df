"""What ``HustleX(hook=...)`` is given and gives back: import these names from here.

```python
from hustlex.telemetry import CallEnd, CallStart, End
```
"""

from hustlex.core.telemetry import CallEnd, CallStart, End, Hook

__all__ = ["CallEnd", "CallStart", "End", "Hook"]
