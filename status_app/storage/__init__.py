"""Table Storage: client, keys, transactions."""
