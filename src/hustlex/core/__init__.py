"""Ground: pure building blocks. No socket, no clock, no randomness."""
