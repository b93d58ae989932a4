"""What schemas/openapi.yaml cannot say of a request that is right, for schemathesis (SCHEMATHESIS_HOOKS)."""

from typing import Any
from urllib.parse import quote

import schemathesis

LONG = 4_000  # of a parameter, as it is sent: a server reads 8,190 bytes of a request's first line
TOO_LONG = "x" * 4_097


@schemathesis.hook
def before_call(_context: Any, case: Any, _kwargs: Any) -> None:
    """A right request has no token of its own, one kind of modules, and no reason that a state never has.

    No request has a first line that a server does not read: what is too long for it, is too long for the app in ASCII.
    """
    if case.meta is None or not isinstance(case.query, dict):
        return
    is_right = case.meta.generation.mode.is_positive
    for name in [name for name, value in case.query.items() if len(quote(str(value))) > LONG]:
        if is_right:
            del case.query[name]
        else:
            case.query[name] = TOO_LONG
    if not is_right:
        return
    case.query.pop("next", None)
    if "state" in case.query:  # some reasons and flags go with some states alone
        case.query.pop("reason", None)
        case.query.pop("flag", None)
    if case.operation.path == "/modules" and ("stuck" in case.query) == ("stuckBefore" in case.query):
        case.query.pop("stuckBefore", None)
        case.query["stuck"] = "true"
