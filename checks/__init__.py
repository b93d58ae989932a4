"""Checks of what no test of the app can see. Never deployed."""
