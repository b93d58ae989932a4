"""The table DeploymentStatus: one partition per device."""
