"""Exchanges with Redis: leases tasks, and acknowledges what became of those before."""
