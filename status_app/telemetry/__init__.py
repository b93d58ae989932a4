"""What the app reports about itself: fields of its log lines, and metrics."""
