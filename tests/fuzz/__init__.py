"""Hostile input: it is judged or refused, and never raises an unexpected exception."""
