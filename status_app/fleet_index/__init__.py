"""The table DeploymentIndex: finds devices by other properties than their id."""
