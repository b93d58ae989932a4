"""The columns of a list, for a terminal and as CSV. Uses only the standard library."""
