"""What arrives: batches of events, notifications of twin changes, and dead letters."""
