"""Periodic jobs: specs, entries in code and in Redis, firings."""
