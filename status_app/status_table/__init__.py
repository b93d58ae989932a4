"""The table DeploymentStatus: a partition for each device."""
