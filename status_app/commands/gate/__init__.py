"""The gate of a pipeline: waits until a deployment has succeeded, and reports the outcome as an exit code."""
