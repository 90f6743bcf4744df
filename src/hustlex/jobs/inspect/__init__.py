"""The operator's side: looking at queues and tasks, acting on them, cancelling."""
