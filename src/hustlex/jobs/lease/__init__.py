"""What a worker asks of a queue: taking tasks, keeping them, ending them, and keeping the queue in order."""
