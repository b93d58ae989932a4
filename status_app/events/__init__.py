"""Transitions as events: what a subscriber gets, and how it is sent."""
