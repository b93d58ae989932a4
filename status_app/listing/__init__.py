"""What the columns of a list hold, for a terminal and as CSV. The standard library alone."""
