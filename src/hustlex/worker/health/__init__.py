"""What a worker knows of its own troubles."""
