"""Hostile input: whatever it is, it is judged or refused, never an exception that nobody expects."""
