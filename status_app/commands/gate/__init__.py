"""The gate of a pipeline: waits until a deployment has come through, and tells by an exit code whether it has."""
