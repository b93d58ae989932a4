"""A function app of its own, for the comparison."""
