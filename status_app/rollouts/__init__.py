"""Deployments as wholes: counts, milestones, progress."""
