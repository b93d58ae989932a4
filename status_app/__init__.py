"""Reads, stores and publishes the state of deployments."""
