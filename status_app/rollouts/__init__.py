"""Deployments as a whole: counts, milestones, progress."""
