"""Work beside its caller, until it is ended: in ``aio`` a task, in ``blocking`` a thread."""
