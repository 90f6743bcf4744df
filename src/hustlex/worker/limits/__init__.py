"""Admission: which leased tasks may start now, which wait here, and which go back."""
