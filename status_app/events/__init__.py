"""Transitions as events: their content, and how they are sent."""
