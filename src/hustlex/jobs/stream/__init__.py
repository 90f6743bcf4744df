"""What a job tells while it runs, and waiting for its end."""
