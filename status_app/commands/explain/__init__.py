"""Explains what is wrong with a device in sentences, and what a person can do."""
