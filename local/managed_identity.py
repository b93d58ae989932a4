"""The endpoint that gives a function app in Azure the tokens of its managed identity."""

import time
from collections.abc import Mapping
from http import HTTPStatus
from secrets import token_hex

from aiohttp import web

from local.http_server import HttpServer
from local.tokens import LIFETIME, issue_token


class ManagedIdentity(HttpServer):
    """Issue tokens for one user-assigned identity.

    Args:
        client_id: The identity. Requests for others are refused, as in Azure.

    Attributes:
        audiences: The audiences of requested tokens, in order.
    """

    def __init__(self, client_id: str) -> None:
        application = web.Application()
        application.router.add_get("/msi/token", self._answer)
        super().__init__(application)
        self._client_id = client_id
        self._secret = token_hex()
        self.audiences: list[str] = []

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables that Azure sets in addition to the app settings."""
        return {"IDENTITY_ENDPOINT": f"http://127.0.0.1:{self.port}/msi/token", "IDENTITY_HEADER": self._secret}

    async def _answer(self, request: web.Request) -> web.Response:
        if request.headers.get("X-IDENTITY-HEADER") != self._secret:
            return web.json_response({"message": "the header is wrong"}, status=HTTPStatus.FORBIDDEN)
        if request.query.get("client_id") != self._client_id:
            return web.json_response({"message": "the app has no such identity"}, status=HTTPStatus.BAD_REQUEST)
        audience = request.query["resource"]
        self.audiences.append(audience)
        end = str(int(time.time()) + LIFETIME)
        return web.json_response(
            {"access_token": issue_token(audience), "expires_on": end, "resource": audience, "token_type": "Bearer"}
        )
