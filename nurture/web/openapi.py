"""What do the machine's doors take and answer? The OpenAPI 3.1 document of /api, held against real answers by tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nurture.leads.hygiene import LONGEST
from nurture.web.words import LANGUAGES

if TYPE_CHECKING:
    from collections.abc import Mapping

EXAMPLE = "https://news.firma.example"
"""The address in the copy that stands in docs/reference; a running installation names its own."""

ACCEPTED = "Taken. The answer is the same whatever is known of the address."
ERRORS = {
    400: "The body is not JSON.",
    401: "The token is missing or wrong.",
    403: "The door is shut: no `api_token` is set.",
    409: "The wording you showed is not the current one: read it again.",
    413: "More than 16 KiB.",
    415: "Send `application/json`, uncompressed.",
    422: "`error` names the field that is missing or wrong.",
    503: "The database did not answer in time: send it again.",
}

_ADDRESS = {"type": "string", "maxLength": LONGEST, "description": "One e-mail address, as typed."}
_PURPOSE = {"type": "string", "examples": ["newsletter.product"]}


def document(public_url: str = EXAMPLE) -> dict[str, Any]:
    """Describe the API as an installation at `public_url` serves it."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "nurture: sign-up and withdrawal",
            "version": "1",
            "description": "For the servers of the company. Browsers cannot call it: there is no CORS.",
        },
        "servers": [{"url": public_url}],
        "paths": {
            "/api/opt-in": {"get": _wording(), "post": _opt_in()},
            "/api/withdraw": {"post": _withdraw()},
            "/api/openapi.json": {
                "get": {
                    "operationId": "describe",
                    "summary": "This document.",
                    "responses": {"200": _answer("The document.", {"type": "object", "required": ["openapi"]})},
                }
            },
        },
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": "setting `api_token`"}},
            "schemas": SCHEMAS,
        },
    }


SCHEMAS: Mapping[str, Any] = {
    "Wordings": {
        "type": "object",
        "additionalProperties": False,
        "required": ["language", "texts"],
        "properties": {
            "language": {"enum": list(LANGUAGES)},
            "texts": {"type": "array", "items": {"$ref": "#/components/schemas/Wording"}},
        },
    },
    "Wording": {
        "type": "object",
        "additionalProperties": False,
        "required": ["purpose", "version", "body", "sha256"],
        "properties": {
            "purpose": _PURPOSE,
            "version": {"type": "integer", "minimum": 1},
            "body": {"type": "string", "description": "Show it, unchanged, beside an unticked box."},
            "sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
        },
    },
    "OptIn": {
        "type": "object",
        "required": ["address", "purposes"],
        "properties": {
            "address": _ADDRESS,
            "purposes": {
                "type": "array",
                "items": _PURPOSE,
                "contains": {"const": "newsletter.product"},
                "description": "The boxes that the person ticked.",
            },
            "language": {"enum": list(LANGUAGES)},
            "page_url": {"type": "string", "description": "Page your form stands on."},
            "form": {"type": "string", "description": "Name of your form."},
            "box_default": {"const": "unticked", "description": "A ticked box proves nothing (C-61/19)."},
            "wording": {
                "type": "object",
                "additionalProperties": {"type": "string"},
                "description": "`sha256` of the wording you showed, by purpose; proves that it was the current one.",
            },
        },
    },
    "Withdraw": {
        "type": "object",
        "required": ["address"],
        "properties": {
            "address": _ADDRESS,
            "purposes": {
                "type": ["array", "null"],
                "items": _PURPOSE,
                "minItems": 1,
                "description": "What ends; null or left out: everything, measuring included.",
            },
        },
    },
    "Accepted": {
        "type": "object",
        "additionalProperties": False,
        "required": ["status"],
        "properties": {"status": {"const": "accepted"}},
    },
    "Error": {
        "type": "object",
        "additionalProperties": False,
        "required": ["error"],
        "properties": {"error": {"type": "string"}},
    },
}


def _wording() -> dict[str, Any]:
    return {
        "operationId": "wording",
        "summary": "The wording to show beside each box.",
        "parameters": [{"name": "lang", "in": "query", "schema": {"enum": list(LANGUAGES)}}],
        "responses": {"200": _answer("Current wordings, the main purpose first.", _named("Wordings")), **_errors(503)},
    }


def _opt_in() -> dict[str, Any]:
    return {
        "operationId": "optIn",
        "summary": "Ask for a double opt-in: one neutral mail with a link to confirm. No consent by itself.",
        "requestBody": _body("OptIn"),
        "responses": {
            "202": _answer(ACCEPTED, _named("Accepted")),
            **_errors(400, 409, 413, 415, 422, 503),
        },
    }


def _withdraw() -> dict[str, Any]:
    return {
        "operationId": "withdraw",
        "summary": "End consents, at once.",
        "security": [{"token": []}],
        "requestBody": _body("Withdraw"),
        "responses": {
            "202": _answer(ACCEPTED, _named("Accepted")),
            **_errors(400, 401, 403, 413, 415, 422, 503),
        },
    }


def _named(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _body(name: str) -> dict[str, Any]:
    return {"required": True, "content": {"application/json": {"schema": _named(name)}}}


def _answer(description: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _errors(*codes: int) -> dict[str, Any]:
    return {str(code): _answer(ERRORS[code], _named("Error")) for code in codes}
