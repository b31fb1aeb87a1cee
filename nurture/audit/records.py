"""How does another system read our consents? ISO/IEC TS 27560 consent records in the words of DPV, as JSON-LD.

After the W3C community's guide on consent records (https://w3id.org/dpv/guides/consent-27560), profile
record-eu-gdpr. What is the same for all consents of a purpose (process, parties) is written once and named.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from consent.states import BY_OTHERS, TRACKING, dpv_state

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from nurture.settings import Settings

PROFILE = "https://w3id.org/dpv/schema/dpv-27560#record-eu-gdpr"
CONTEXT: Mapping[str, str] = {
    "dpv": "https://w3id.org/dpv#",
    "eu-gdpr": "https://w3id.org/dpv/legal/eu/gdpr#",
    "loc": "https://w3id.org/dpv/loc#",
    "pd": "https://w3id.org/dpv/pd#",
    "dct": "http://purl.org/dc/terms/",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "schema": "https://schema.org/",
    "nurture": "urn:nurture:",
}


def _dpv(state: str, *, renewed: bool = False, route: str = "") -> str:
    """Name a state as DPV does; which word of ours is which of theirs stands in consent/states.py."""
    return f"dpv:{dpv_state(state, renewed=renewed, route=route)}"


REQUESTED, GIVEN, RENEWED = _dpv("requested"), _dpv("given"), _dpv("given", renewed=True)
ENDS: Mapping[str, str] = {word: _dpv(word) for word in ("withdrawn", "stale", "erased", "merged")} | {
    "renewed": RENEWED
}
"""How a consent ended, in DPV's words; one that was renewed goes on under the newer record."""
OUTCOMES: Mapping[str, str] = {word: _dpv(word) for word in ("confirmed", "declined", "lapsed", "bounced", "void")} | {
    "open": REQUESTED
}
"""What became of a sign-up, in DPV's words."""
REVOKED = _dpv("withdrawn", route="merge")
PURPOSES = {TRACKING: "dpv:Personalisation"}
"""DPV's purpose of ours; all others are mail: direct marketing."""
DATA = {TRACKING: ["pd:EmailAddress", "pd:Behavioral"]}
DURATION = {
    "@type": "dpv:UntilEventDuration",
    "rdf:value": "withdrawal, or 24 calendar months without a mail, whichever comes first",
}
RIGHTS = (
    ("eu-gdpr:A7-3", "Right to withdraw consent"),
    ("eu-gdpr:A15", "Right of access"),
    ("eu-gdpr:A16", "Right to rectification"),
    ("eu-gdpr:A17", "Right to erasure"),
    ("eu-gdpr:A18", "Right to restrict processing"),
    ("eu-gdpr:A20", "Right to data portability"),
    ("eu-gdpr:A21", "Right to object"),
    ("eu-gdpr:A77", "Right to complain with a supervisory authority"),
)


@dataclass(frozen=True)
class Party:
    """Somebody who receives data: the controller, or a processor."""

    id: str
    name: str
    role: str
    """DPV's word: DataController, DataProcessor."""
    address: str
    contact: str
    country: str
    transfer: str
    """On what a transfer out of the EU rests; empty where there is none."""

    def node(self) -> dict[str, Any]:
        """Write it in DPV's words."""
        made: dict[str, Any] = {
            "@id": self.id,
            "@type": ["dpv:Organisation", f"dpv:{self.role}"],
            "dpv:hasName": self.name,
            "dpv:hasIdentifier": self.id,
            "schema:contactPoint": [
                {"@type": "schema:ContactPoint", "schema:url": self.contact}
                if self.contact.startswith("http")
                else {"@type": "schema:ContactPoint", "schema:email": self.contact},
                {"@type": "schema:PostalAddress", "schema:streetAddress": self.address},
            ],
        }
        if self.transfer:
            made["dpv:hasDataTransferLegalBasis"] = self.transfer
            made["dpv:hasLocation"] = self.country
        return made


UNKNOWN_ADDRESS = "to be completed by the controller"


def parties(settings: Settings) -> list[Party]:
    """Who receives data, as far as the settings tell; the controller comes first."""
    found = [
        Party(
            f"nurture:controller:{settings.controller}",
            settings.company,
            "DataController",
            settings.postal_address,
            settings.sender_address,
            "DE",
            "",
        )
    ]
    if settings.provider == "sendgrid":
        european = ".eu." in (urlsplit(settings.sendgrid_url).hostname or "")
        found.append(
            Party(
                "nurture:processor:sendgrid",
                "Twilio Inc. (SendGrid)" + (", EU region" if european else ""),
                "DataProcessor",
                UNKNOWN_ADDRESS,
                "https://www.twilio.com/legal/privacy",
                "US",
                "Art. 45 or 46 GDPR (Data Privacy Framework, standard contractual clauses); controller to confirm",
            )
        )
    if settings.provider == "smtp":
        found.append(
            Party(
                "nurture:processor:smtp",
                f"mail server {settings.smtp_host}",
                "DataProcessor",
                UNKNOWN_ADDRESS,
                settings.sender_address,
                "DE",
                "",
            )
        )
    if settings.handover_url:
        host = urlsplit(settings.handover_url).hostname or ""
        found.append(
            Party(
                "nurture:processor:sales",
                f"sales system {host}",
                "DataProcessor",
                UNKNOWN_ADDRESS,
                settings.sender_address,
                "DE",
                "",
            )
        )
    return found


def process(controller: str, purpose: str, recipients: Iterable[Party], *, pages: str) -> dict[str, Any]:
    """Describe what is done for a purpose: written once, named by each record.

    `pages` is the address of the public pages, where consent is ended and rights are exercised.
    """
    return {
        "@id": f"nurture:process:{controller}:{purpose}",
        "@type": "dpv:Process",
        "dct:title": purpose,
        "dpv:hasPurpose": PURPOSES.get(purpose, "dpv:DirectMarketing"),
        "dpv:hasPersonalData": DATA.get(purpose, ["pd:EmailAddress", "pd:Name"]),
        "dpv:hasProcessing": ["dpv:Collect", "dpv:Store", "dpv:Use", "dpv:Erase"],
        "dpv:hasLegalBasis": "eu-gdpr:A6-1-a",
        "dpv:hasRecipient": [party.id for party in recipients],
        "dpv:hasDataSource": "dpv:DataSubject",
        "dpv:hasConsentControl": {"@type": ["dpv:ProvideConsent", "dpv:WithdrawConsent"], "dpv:isExercisedAt": pages},
        "dpv:hasRight": [
            {"@type": ["dpv:DataSubjectRight", right], "dct:title": title, "dpv:isExercisedAt": pages}
            for right, title in RIGHTS
        ],
        "dpv:hasJurisdiction": "loc:DE",
        "dpv:hasStorageCondition": [
            {"@type": "dpv:StorageLocation", "dpv:hasLocation": "loc:EU"},
            {
                "@type": "dpv:StorageDuration",
                "dpv:hasDuration": {
                    "@type": "dpv:UntilEventDuration",
                    "rdf:value": "end of the third calendar year after the consent ended",
                },
            },
        ],
    }


def record(consent: Mapping[str, Any], request: Mapping[str, Any] | None) -> dict[str, Any]:
    """Write one consent as a record; `consent` and `request` are rows of `facts`, without personal data."""
    name = f"{consent['seq']}/{consent['purpose']}"
    controller = f"nurture:controller:{consent['controller']}"
    subject = f"nurture:subject:{consent['subject']}"
    events = []
    if request is not None:
        events.append(_event(REQUESTED, request["at"], controller, "request through a form", seq=request["seq"]))
    existing, imported = consent["basis"] == "existing_customer", consent["basis"] == "imported"
    how = "button behind the link in the mail"
    if imported or existing:
        how = "taken over with the proof of another system" if imported else "sale, with notice and chance to object"
    given = RENEWED if consent["renewal"] else GIVEN
    events.append(_event(given, consent["since"], "dpv:DataSubject", how, seq=consent["seq"]))
    if consent["ended_at"]:
        by_others = consent["ended_by"] in BY_OTHERS and consent["state"] == "withdrawn"
        status = REVOKED if by_others else ENDS[consent["state"]]
        by = controller if by_others or consent["state"] in {"erased", "merged"} else "dpv:DataSubject"
        events.append(_event(status, consent["ended_at"], by, str(consent["ended_by"]), seq=consent["ended_seq"]))
    elif consent["state"] == "stale":
        events.append(_event(ENDS["stale"], consent["last_use"] or consent["since"], controller, "unused", seq=None))
    return {
        "@id": f"nurture:consent:{name}",
        # Whoever rests on s. 7(3) UWG holds no consent and must not look like it.
        "@type": "nurture:ExistingCustomerRecord" if existing else "dpv:ConsentRecord",
        "dct:identifier": name,
        "dct:conformsTo": PROFILE,
        "dpv:hasDataSubject": {"@id": subject, "@type": "dpv:DataSubject"},
        "dpv:hasDataController": controller,
        "dpv:hasJurisdiction": "loc:DE",
        "dpv:hasApplicableLaw": "eu-gdpr:GDPR",
        "dpv:hasLegalBasis": "eu-gdpr:A6-1-f" if existing else "eu-gdpr:A6-1-a",
        "dpv:hasProcess": f"nurture:process:{consent['controller']}:{consent['purpose']}",
        "dpv:hasNotice": {
            "@id": f"urn:sha256:{consent['text_sha256']}",
            "@type": "dpv:ConsentNotice",
            "dct:language": request["language"] if request else "und",
            "dct:hasVersion": consent["text_version"],
        },
        "dpv:hasConsentStatus": events,
        "nurture:ledger": {
            name: consent[name]
            for name in ("seq", "request_seq", "ended_seq", "state", "basis", "channel", "uses", "last_use")
        },
    }


def _event(status: str, at: str, by: str, how: str, *, seq: int | None) -> dict[str, Any]:
    return {
        "@type": [status, "dpv:ExpressedConsent"],
        "dpv:isIndicatedAtTime": at,
        "dpv:isIndicatedBy": by,
        "dpv:hasIndicationMethod": how,
        "dpv:hasDuration": DURATION,
        "nurture:entry": seq,
    }


def text_node(text: Mapping[str, Any]) -> dict[str, Any]:
    """Describe a consent text, verbatim; its hash is computed anew, not copied."""
    body = str(text["body"])
    return {
        "@id": f"urn:sha256:{text['sha256']}",
        "@type": "dpv:ConsentNotice",
        "controller": text["controller"],
        "channel": text["channel"],
        "purpose": text["purpose"],
        "version": text["version"],
        "dct:language": text["language"],
        "dct:issued": text["valid_from"],
        "valid_until": text["valid_until"],
        "sha256": text["sha256"],
        "sha256_matches": hashlib.sha256(body.encode()).hexdigest() == text["sha256"],
        "body": body,
    }
