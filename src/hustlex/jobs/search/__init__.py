"""Finding tasks by what is typed: the query, what it means for one task, and the bounded walk that carries it out."""
