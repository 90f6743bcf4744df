"""The street: the only code that owns sockets."""
