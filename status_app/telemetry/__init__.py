"""What the app tells of itself: fields of its log lines, and metrics."""
