"""Runs handlers and decides the outcome of each attempt."""
