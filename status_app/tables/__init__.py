"""Table Storage: keys, rows, and the tables they stand in."""
