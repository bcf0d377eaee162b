"""Answers to requests that the server refuses: a status and one line, in the words of the command line."""

import logging
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from lookcast.checks import EXPECTED_WORDS, InputError, describe_expected

_WORDS = EXPECTED_WORDS | {
    **{"int_parsing": "an integer", "int_parsing_size": "an integer", "float_parsing": "a number"},  # in addresses
    **dict.fromkeys(("model_type", "model_attributes_type"), "a JSON object"),
}

logger = logging.getLogger("lookcast.web")


class Refusal(HTTPException):
    """A refused request.

    Args:
        status: the HTTP status, 400 to 599.
        line: one line that names what is wrong.
        headers: further headers of the answer.
    """

    def __init__(self, status: int, line: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status, line, headers)


def not_found(what: str) -> Refusal:
    """Return the refusal of an id that does not exist, or that belongs to another visit."""
    return Refusal(404, f"{what}: no such {what} in this visit")


def refuse_in_json(app: FastAPI) -> None:
    """Answer every error with `{"error": LINE}`. An unexpected error is logged, and its details stay in the log."""

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> JSONResponse:
        return _answer(error.status_code, str(error.detail), error.headers)

    @app.exception_handler(InputError)
    async def invalid(request: Request, error: InputError) -> JSONResponse:
        return _answer(400, " ".join(str(error).split()))

    @app.exception_handler(RequestValidationError)
    async def malformed(request: Request, error: RequestValidationError) -> JSONResponse:
        return _answer(422, "; ".join(_describe(fault) for fault in error.errors()))

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> JSONResponse:
        return _answer(500, "the server failed; its log has the reason")


def _describe(fault: Any) -> str:
    """Describe a pydantic error as `name: expected ..., got ...`."""
    name = ".".join(str(part) for part in fault["loc"][1:]) or "request"
    if fault["type"] == "json_invalid":
        return "request: expected JSON"
    if fault["type"] == "extra_forbidden":
        return f"{name}: unknown argument"
    if fault["type"] == "missing":
        return f"{name}: expected {'a JSON object' if name == 'request' else 'a value'}, got none"
    return f"{name}: expected {describe_expected(fault, _WORDS)}, got {repr(fault['input'])[:80]}"


def _answer(status: int, line: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": line}, status, headers)
