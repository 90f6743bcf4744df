"""Why a task does not run, or ran more than once."""
