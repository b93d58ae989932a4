"""The commands that a person runs."""
