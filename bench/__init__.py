"""Benchmarks: what this package does beside what users would pick instead, in one run on one machine."""
