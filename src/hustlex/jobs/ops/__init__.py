"""Operations on the queues, as values: one file per subject, all pure."""
