"""The app against a model: random histories of a small fleet, and what must hold at the end of each."""
