"""Readers: one file for each format of events; all yield the same chunks."""
