"""What follows an acknowledgement."""
