"""Background jobs on Asynq's wire: Go and Python producers, workers and tools share the queues."""
