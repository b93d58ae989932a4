"""The function that does nothing, as an app of its own."""
