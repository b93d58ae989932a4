"""The demo: roll a deployment out to a simulated fleet, and watch it with the app."""

from local.demo.command import demo

__all__ = ["demo"]
