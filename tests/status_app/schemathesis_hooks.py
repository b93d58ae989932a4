"""What schemas/openapi.yaml cannot say of a request that is right, for schemathesis (SCHEMATHESIS_HOOKS)."""

from typing import Any

import schemathesis


@schemathesis.hook
def before_call(_context: Any, case: Any, _kwargs: Any) -> None:
    """A right request has no token of its own, asks for one kind of modules, and for no reason that a state never has."""
    if case.meta is None or not case.meta.generation.mode.is_positive or not isinstance(case.query, dict):
        return
    case.query.pop("next", None)
    if "state" in case.query:  # some reasons and flags go with some states alone
        case.query.pop("reason", None)
        case.query.pop("flag", None)
    if case.operation.path == "/modules" and ("stuck" in case.query) == ("stuckBefore" in case.query):
        case.query.pop("stuckBefore", None)
        case.query["stuck"] = "true"
