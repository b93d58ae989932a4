"""A small Azure Functions host around the worker library that runs Python apps in Azure."""

from local.host.host import FunctionsHost
from local.host.invocation import Function, HostStoppedError, InvocationOutcome
from local.host.settings import MissingSettingError
from local.host.worker import AppLoadError

__all__ = ["AppLoadError", "Function", "FunctionsHost", "HostStoppedError", "InvocationOutcome", "MissingSettingError"]
