"""Makes the stored state of each device equal to its twin."""
