"""What an application defines: tasks, what surrounds them, and what their handlers see and raise."""
