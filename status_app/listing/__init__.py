"""What stands in the columns of a list, for a terminal and as CSV. The standard library alone."""
