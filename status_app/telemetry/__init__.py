"""What the app reports of itself: fields of its log lines, and metrics."""
