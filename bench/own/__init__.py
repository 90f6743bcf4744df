"""This package, behind the same functions as the peers."""
