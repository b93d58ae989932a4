"""Notices to people and programs: the targets, the messages, and what is still unsent."""
