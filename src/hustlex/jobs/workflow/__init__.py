"""Jobs that start when others have succeeded."""
