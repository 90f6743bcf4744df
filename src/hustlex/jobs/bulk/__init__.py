"""Acting on many tasks at once: what a search found is frozen, shown, and done in small steps that can be stopped."""
