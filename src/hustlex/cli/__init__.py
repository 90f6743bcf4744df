"""The shell's door: one file per noun, each parses, calls, prints."""
