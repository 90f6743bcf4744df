"""What an application declares: policies, how each algorithm counts, rules as text and files, proven worst cases."""
