"""What judges a call: policies compiled, the operations, what is remembered, and the fallback without the server."""
