"""Where the state of a deployment is read, kept and published."""
