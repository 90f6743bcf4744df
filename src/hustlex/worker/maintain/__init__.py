"""Keeps leases, queues and groups in order beside the tasks' own way."""
