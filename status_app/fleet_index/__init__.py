"""The table DeploymentIndex: other ways to find a device than by its id."""
