"""Very many notifications wait before the app starts: memory, fairness, twin reads and progress while it drains."""
