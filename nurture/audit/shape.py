"""Which shape has export.json? A JSON Schema: the lists, and for records and parties the MUST fields of the guide.

The names are DPV's (https://w3id.org/dpv/guides/consent-27560, sections 9.1 to 9.5); the text of ISO/IEC TS 27560
itself is not public.
"""

from __future__ import annotations

from typing import Any

from nurture.audit import records, sheets
from nurture.audit.book import Cover

TIME = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$"}
"""UTC with microseconds, ISO 8601."""
TEXT = {"type": "string", "minLength": 1}
COUNT = {"type": "integer", "minimum": 0}
STATUSES = sorted({*records.OUTCOMES.values(), *records.ENDS.values(), records.RENEWED, records.REVOKED})


def schema() -> dict[str, Any]:
    """Give the schema of export.json."""
    lists = {name: _rows(columns) for name, columns in sheets.SHEETS.items() if name not in {"texts", "consents"}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Audit export of a consent ledger",
        "description": "export.json of `nurture audit export`: JSON-LD, one document.",
        **_object(
            {
                "@context": {"type": "object"},
                "format": {"const": sheets.FORMAT},
                "cover": _object({name: {"type": "string"} for name in Cover.__dataclass_fields__}),
                "figures": {"type": "object", "additionalProperties": COUNT},
                "parties": {"type": "array", "minItems": 1, "items": _party()},
                "processes": {"type": "array", "items": _process()},
                "texts": {"type": "array", "items": _text()},
                "records": {"type": "array", "items": _record()},
                **lists,
                "record_of_processing": {},
            }
        ),
    }


def _object(properties: dict[str, Any], *, optional: tuple[str, ...] = ()) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in optional],
    }


def _rows(columns: Any) -> dict[str, Any]:  # noqa: ANN401  a sequence of names
    shown: dict[str, Any] = {name: {} for name in columns}
    for name in shown:
        if name in {"at", "first_at", "last_at"}:
            shown[name] = TIME
        elif name in {"seq", "count", "requests", "confirmed"}:
            shown[name] = COUNT
    return {"type": "array", "items": _object(shown)}


def _record() -> dict[str, Any]:
    """Sections 9.1 (metadata), 9.2 (notice), 9.5 (events); what belongs to a purpose stands in its process."""
    event = _object(
        {
            "@type": {"type": "array", "prefixItems": [{"enum": STATUSES}, {"const": "dpv:ExpressedConsent"}]},
            "dpv:isIndicatedAtTime": TIME,
            "dpv:isIndicatedBy": TEXT,
            "dpv:hasIndicationMethod": TEXT,
            "dpv:hasDuration": {"type": "object"},
            "nurture:entry": {"type": ["integer", "null"]},
        }
    )
    return _object(
        {
            "@id": TEXT,
            "@type": {"enum": ["dpv:ConsentRecord", "nurture:ExistingCustomerRecord"]},
            "dct:identifier": TEXT,
            "dct:conformsTo": {"const": records.PROFILE},
            "dpv:hasDataSubject": _object({"@id": TEXT, "@type": {"const": "dpv:DataSubject"}}),
            "dpv:hasDataController": TEXT,
            "dpv:hasJurisdiction": TEXT,
            "dpv:hasApplicableLaw": TEXT,
            "dpv:hasProcess": TEXT,
            "dpv:hasNotice": _object(
                {
                    "@id": {"type": "string", "pattern": "^urn:sha256:[0-9a-f]{64}$"},
                    "@type": {"const": "dpv:ConsentNotice"},
                    "dct:language": TEXT,
                    "dct:hasVersion": {"type": ["integer", "null"]},
                }
            ),
            "dpv:hasConsentStatus": {"type": "array", "minItems": 1, "items": event},
            "nurture:ledger": _object({"seq": COUNT, "state": TEXT, "basis": TEXT}),
            "nurture:address": {"type": ["string", "null"]},
        },
        optional=("nurture:address",),
    )


def _process() -> dict[str, Any]:
    """Section 9.3."""
    conditions = {"type": "array", "minItems": 2, "items": _object({"@type": TEXT})}
    listed = {"type": "array", "minItems": 1}
    return _object(
        {
            "@id": TEXT,
            "@type": {"const": "dpv:Process"},
            "dpv:hasPurpose": TEXT,
            "dpv:hasPersonalData": listed,
            "dpv:hasProcessing": listed,
            "dpv:hasLegalBasis": TEXT,
            "dpv:hasRecipient": listed,
            "dpv:hasDataSource": TEXT,
            "dpv:hasStorageCondition": conditions,
            "dpv:hasConsentControl": _object({"@type": listed, "dpv:isExercisedAt": TEXT}),
            "dpv:hasRight": {**listed, "items": _object({"@type": listed, "dpv:isExercisedAt": TEXT})},
            "dpv:hasJurisdiction": TEXT,
        }
    )


def _party() -> dict[str, Any]:
    """Section 9.4: name, identifier, role, contact, postal address."""
    return _object(
        {
            "@id": TEXT,
            "@type": {"type": "array", "minItems": 2},
            "dpv:hasName": TEXT,
            "dpv:hasIdentifier": TEXT,
            "schema:contactPoint": {
                "type": "array",
                "contains": _object({"@type": {"const": "schema:PostalAddress"}, "schema:streetAddress": TEXT}),
                "minItems": 2,
            },
        }
    )


def _text() -> dict[str, Any]:
    return _object(
        {
            "@id": TEXT,
            "controller": TEXT,
            "channel": TEXT,
            "purpose": TEXT,
            "version": COUNT,
            "dct:language": TEXT,
            "dct:issued": TIME,
            "valid_until": {"anyOf": [TIME, {"type": "null"}]},
            "sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
            "sha256_matches": {"const": True},
            "body": TEXT,
        }
    )
