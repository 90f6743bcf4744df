"""Generated blocking twins of each room's api.py; no logic of its own."""
