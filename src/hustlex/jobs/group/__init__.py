"""Grouped tasks that become one."""
