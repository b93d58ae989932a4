"""The worker library that runs around a Python function app in Azure, with one app loaded."""

import importlib
import sys
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import azure_functions_runtime as runtime  # type: ignore[import-untyped] # ships no type information

from local.host import messages


class AppLoadError(Exception):
    """Azure would refuse the function app as well, or this host does not support it. The message says why."""


class Worker:
    """Load a function app and invoke its functions.

    The library keeps its state in module globals, so a process can have one worker at a time.
    """

    _started: ClassVar[bool] = False

    async def start(self, app_dir: Path) -> Sequence[messages.RpcFunctionMetadata]:
        """Load the app in `app_dir` from scratch and return its functions.

        Raises:
            AppLoadError: The library cannot load the app, or finds no function in it.
            RuntimeError: Another worker of this process has not been stopped.
        """
        if Worker._started:
            raise RuntimeError("another functions host runs in this process: stop it first")
        Worker._started = True
        self._app_dir = str(app_dir)
        sys.path.insert(0, self._app_dir)
        # An app object returns its functions only once, so the module has to run again.
        sys.modules.pop("function_app", None)
        importlib.invalidate_caches()
        runtime.start_threadpool_executor()
        try:
            return await self._load()
        except BaseException:
            self.stop()
            raise

    async def _load(self) -> Sequence[messages.RpcFunctionMetadata]:
        init: messages.WorkerInitResponse = await runtime.worker_init_request(
            _request("WorkerInitRequest", messages.WorkerInitRequest(function_app_directory=self._app_dir))
        )
        self._check(init.result)
        found: messages.FunctionMetadataResponse = await runtime.functions_metadata_request(
            _request("FunctionsMetadataRequest", None)
        )
        self._check(found.result)
        if not found.function_metadata_results:
            raise AppLoadError(f"{self._app_dir}: no function in function_app.py, or no such file")
        for function in found.function_metadata_results:
            loaded: messages.FunctionLoadResponse = await runtime.function_load_request(
                _request("FunctionLoadRequest", messages.FunctionLoadRequest(function_id=function.function_id))
            )
            self._check(loaded.result)
        return found.function_metadata_results

    async def invoke(
        self,
        function_id: str,
        parameter: messages.ParameterBinding,
        trigger_metadata: Mapping[str, messages.TypedData],
        retry: messages.RetryContext,
    ) -> messages.InvocationResponse:
        """Run a function once: on this loop if it is async, else in the library's thread pool."""
        response: messages.InvocationResponse = await runtime.invocation_request(
            _request(
                "InvocationRequest",
                messages.InvocationRequest(
                    invocation_id=str(uuid.uuid4()),
                    function_id=function_id,
                    input_data=[parameter],
                    trigger_metadata=trigger_metadata,
                    retry_context=retry,
                ),
            )
        )
        return response

    def stop(self) -> None:
        """End the thread pool and remove the app's directory from `sys.path`."""
        runtime.stop_threadpool_executor()
        sys.path.remove(self._app_dir)
        Worker._started = False

    def _check(self, result: messages.StatusResult) -> None:
        if result.status != messages.StatusResult.Success:
            error = result.exception or messages.RpcException()
            raise AppLoadError(f"{self._app_dir} does not load: {error.message}\n{error.stack_trace}")


def _request(name: str, content: Any) -> SimpleNamespace:
    """Wrap a request for the library: a field named after it holds the content."""
    snake_case = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")
    return SimpleNamespace(
        name=name,
        request=SimpleNamespace(**{snake_case: content}),
        properties={"protos": messages, "host": "127.0.0.1"},
    )
