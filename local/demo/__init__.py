"""The demo: a deployment is rolled out to a simulated fleet, and the app says what comes of it."""

from local.demo.command import demo

__all__ = ["demo"]
