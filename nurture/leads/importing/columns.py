"""Which column means what? Header variants of the exports people have, German and English."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache


class Field(StrEnum):
    """What we know how to keep or to act on."""

    EMAIL = "email"
    """The address; a row without one is refused."""
    FIRST_NAME = "first_name"
    """Sealed."""
    LAST_NAME = "last_name"
    """Sealed."""
    FULL_NAME = "full_name"
    """Split at the last space where the two above are missing."""
    SALUTATION = "salutation"
    """Herr or Frau; anything else is left out. Sealed."""
    PHONE = "phone"
    """Kept as E.164. Sealed."""
    COMPANY = "company"
    """Sealed."""
    JOB_TITLE = "job_title"
    """Sealed; its class (decider, influencer, user) is kept in the open."""
    INDUSTRY = "industry"
    """Company fact."""
    COMPANY_SIZE = "company_size"
    """Company fact, employees; of a range the lower end."""
    COUNTRY = "country"
    """ISO 3166 alpha-2; gives the time zone, too."""
    LANGUAGE = "language"
    """de or en; any other language becomes en."""
    LIFECYCLE = "lifecycle"
    """Stage in the other system; see `stages` of the map."""
    STATUS = "status"
    """Of the subscription: active, unsubscribed, bounced, ..."""
    OPT_IN_TIME = "optin_time"
    """When the sign-up form was sent."""
    OPT_IN_IP = "optin_ip"
    """From where."""
    OPT_IN_SOURCE = "optin_source"
    """Which page or form."""
    CONFIRM_TIME = "confirm_time"
    """When the link of the confirmation mail was followed."""
    CONFIRM_IP = "confirm_ip"
    """From where."""
    OPTED_OUT = "opted_out"
    """Yes, or a time: suppression."""
    BOUNCED = "bounced"
    """Yes, a time or a reason: suppression."""
    COMPLAINED = "complained"
    """Yes, or a time: suppression."""
    IGNORE = "ignore"
    """For maps: leave the column out."""


PERSON = (
    Field.FIRST_NAME, Field.LAST_NAME, Field.SALUTATION, Field.PHONE, Field.COMPANY, Field.JOB_TITLE,
)  # fmt: skip
"""Kept sealed in `identity`, under these names."""
SUPPRESSING = (Field.OPTED_OUT, Field.BOUNCED, Field.COMPLAINED, Field.STATUS)


@lru_cache(maxsize=20_000)
def normal(header: str) -> str:
    """Reduce a header to letters and digits: "E-Mail-Adresse" and "EMAIL_ADRESSE" are one."""
    text = unicodedata.normalize("NFKC", header).casefold()
    text = text.replace("ä", "ae").replace("ö", "oe").replace("ü", "ue").replace("ß", "ss")
    return re.sub(r"[^a-z0-9]", "", text)


def _variants(text: str) -> frozenset[str]:
    return frozenset(normal(part) for part in text.split(","))


COMMON: dict[Field, frozenset[str]] = {
    Field.EMAIL: _variants(
        "email,e-mail,mail,email address,e-mail-adresse,emailadresse,mail-adresse,mailadresse,e-mail address,"
        "primary email,primäre e-mail,work email,business email,private email,personal email,email 1,email 2,email1,"
        "email2,e-mail 1,e-mail 2,e-mail geschäftlich,e-mail (geschäftlich),e-mail privat,e-mail (privat),"
        "geschäftliche e-mail,private e-mail,zweite e-mail,weitere e-mail,secondary email,alternative email,"
        "e-mail adresse,contact email,kontakt e-mail,lead email,e mail,additional email addresses,"
        "zusätzliche e-mail-adressen,email address 2,e-mail-adresse 2"
    ),
    Field.FIRST_NAME: _variants("first name,firstname,vorname,given name,fname,prenom,prénom"),
    Field.LAST_NAME: _variants("last name,lastname,nachname,surname,family name,lname,familienname,name2,nom"),
    Field.FULL_NAME: _variants("name,full name,vollständiger name,contact name,kontaktname,ansprechpartner,kontakt"),
    Field.SALUTATION: _variants("salutation,anrede,gender,geschlecht,title prefix"),
    Field.PHONE: _variants(
        "phone,phone number,telefon,telefonnummer,tel,telephone,mobile,mobile phone,mobile phone number,handy,sms,"
        "mobiltelefon,mobilnummer,mobile number,rufnummer"
    ),
    Field.COMPANY: _variants(
        "company,company name,firma,unternehmen,unternehmensname,firmenname,organisation,organization,account name,"
        "associated company,zugehöriges unternehmen,accountname"
    ),
    Field.JOB_TITLE: _variants(
        "job title,jobtitle,position,jobbezeichnung,funktion,berufsbezeichnung,title,titel,role,rolle,job"
    ),
    Field.INDUSTRY: _variants("industry,branche,sector,industrie,wirtschaftszweig"),
    Field.COMPANY_SIZE: _variants(
        "company size,number of employees,employees,numberofemployees,anzahl mitarbeiter,anzahl der mitarbeiter,"
        "mitarbeiter,mitarbeiterzahl,unternehmensgröße,firmengröße,num employees,mitarbeiteranzahl,"
        "anzahl der beschäftigten"
    ),
    Field.COUNTRY: _variants(
        "country,land,country/region,land/region,country code,ländercode,cc,staat,mailing country,country code iso"
    ),
    Field.LANGUAGE: _variants(
        "language,sprache,preferred language,bevorzugte sprache,lang,locale,korrespondenzsprache"
    ),
    Field.LIFECYCLE: _variants("lifecycle stage,lifecycle-phase,lifecyclephase,lifecyclestage,phase,stage"),
    Field.OPTED_OUT: _variants(
        "unsubscribed,abgemeldet,opt out,opted out,opt-out,unsubscribed from all email,von allen e-mails abgemeldet,"
        "unsubscribed from all emails,email opt out,e-mail-opt-out,hasoptedoutofemail,e-mail abgemeldet,unsub time,"
        "unsubscribe date,abmeldedatum,abgemeldet am,email blacklisted,email blocklisted,blacklisted,blocklisted,"
        "has opted out of email,kein e-mail-empfang,keine e-mails,do not email,opt-out für e-mail,deactivated,"
        "deaktiviert,unsubscribed at,email_blacklist,opt-out (alle e-mails),unsubscribe,unsubscribed on,"
        "unsubscribed date,unsubscribed time,unsubscribe time,unsubscription date,unsubscribe reason,"
        "opt-out datum,opt-out date,"
        "opt-out time,opt-out am,opt-out-zeit,opted out at,opted out on,opted_out,abmeldung,abmeldung am,abmeldezeit,"
        "abmeldezeitpunkt,abmeldegrund,newsletter abgemeldet,newsletter-abmeldung,ausgetragen,ausgetragen am,"
        "austragung,austragedatum,widerruf,widerruf am,widerrufen,widerrufen am,widerrufsdatum,"
        "einwilligung widerrufen,einwilligung widerrufen am,widerspruch,widerspruch am,widersprochen,"
        "widersprochen am,widerspruchsdatum,werbewiderspruch,werbesperre,sperre,gesperrt,gesperrt am,sperrvermerk,"
        "mailsperre,e-mail-sperre,newslettersperre,keine werbung,kein newsletter,nicht kontaktieren,"
        "nicht anschreiben,do not contact,do not mail,consent withdrawn,consent revoked,withdrawn,withdrawn at,"
        "withdrawn on,revoked,revoked at,revoked on"
    ),
    Field.STATUS: _variants(
        "status,subscription status,subscriber status,anmeldestatus,newsletter-status,newsletterstatus,abo-status,"
        "abonnementstatus,opt-in-status,doi-status,double-opt-in-status,email status,e-mail-status,email marketing,"
        "email marketing status,e-mail-marketing-status,consent status,einwilligungsstatus"
    ),
    Field.BOUNCED: _variants(
        "bounced,bounce,hard bounce,emailbounceddate,email bounced date,clean time,email hard bounce reason,"
        "grund für hard bounce der e-mail,hard bounce reason,email bounced reason,emailbouncedreason,unzustellbar,"
        "e-mail-unzustellbarkeitsdatum,datum der e-mail-unzustellbarkeit,invalid email address,hardbounced,"
        "e-mail-adresse ungültig"
    ),
    Field.COMPLAINED: _variants("complained,spam report,spam reported,beschwerde,spam complaint,complaint time"),
}
"""What a header means in whatever file it stands."""


@dataclass(frozen=True)
class Preset:
    """One kind of export."""

    name: str
    signatures: tuple[frozenset[str], ...]
    """The file is of this kind when all headers of one of these sets are there."""
    meanings: dict[str, Field]
    """What headers mean here, before COMMON is asked."""
    primary: frozenset[str] = frozenset()
    """The address column, where further address columns are normal in this export and not meant."""


def _preset(name: str, signatures: str, meanings: str, primary: str = "") -> Preset:
    """Write a preset as text: sets separated by |, headers by comma, meanings as header=field."""
    pairs = (pair.split("=") for pair in meanings.split(",") if pair)
    return Preset(
        name,
        tuple(_variants(part) for part in signatures.split("|")),
        {normal(header): Field(field.strip()) for header, field in pairs},
        _variants(primary) if primary else frozenset(),
    )


PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        _preset(
            "mailchimp",
            "leid,euid|member_rating,confirm_time|member_rating,optin_time|member_rating,leid|unsub_time|clean_time",
            "optin_time=optin_time,optin_ip=optin_ip,confirm_time=confirm_time,confirm_ip=confirm_ip,"
            "unsub_time=opted_out,unsub_campaign_title=opted_out,unsub_campaign_id=opted_out,unsub_reason=opted_out,"
            "unsub_reason_other=opted_out,clean_time=bounced,cc=country,region=ignore,title=ignore,job title=job_title",
            "email address,e-mail-adresse,email",
        ),
        _preset(
            "hubspot",
            "record id,lifecycle stage|record id,lead status|record id,contact owner|record id,create date"
            "|datensatz-id,lifecycle-phase|datensatz-id,lead-status|contact id,lifecycle stage"
            "|datensatz-id,kontakt-verantwortlicher|datensatz-id,erstelldatum|datensatz-id,kontaktinhaber"
            "|record id - contact,lifecycle stage",
            "lead status=ignore,lead-status=ignore,associated company=ignore,zugehöriges unternehmen=ignore,"
            "mobile phone number=ignore,mobiltelefonnummer=ignore,preferred language=language,title=ignore",
            "email,e-mail,e-mail-adresse",
        ),
        _preset(
            "rapidmail",
            "created_ip,activated_ip|created ip,activated|created,activated,status|erstellt ip,aktiviert ip"
            "|anmeldung,bestätigung,status|created_at,activated_at,status",
            "created=optin_time,created_at=optin_time,created date=optin_time,created_ip=optin_ip,"
            "activated=confirm_time,activated_at=confirm_time,activated date=confirm_time,activated_ip=confirm_ip,"
            "erstellt=optin_time,erstellt am=optin_time,erstellt ip=optin_ip,aktiviert=confirm_time,"
            "aktiviert am=confirm_time,aktiviert ip=confirm_ip,anmeldung=optin_time,anmeldung ip=optin_ip,"
            "bestätigung=confirm_time,bestätigung ip=confirm_ip,status=status,title=ignore,titel=ignore",
        ),
        _preset(
            "cleverreach",
            "registered,activated|registriert,aktiviert|registered,source,deactivated"
            "|angemeldet am,aktiviert am,quelle",
            "registered=optin_time,registriert=optin_time,angemeldet am=optin_time,activated=confirm_time,"
            "aktiviert=confirm_time,aktiviert am=confirm_time,deactivated=opted_out,deaktiviert=opted_out,"
            "source=optin_source,quelle=optin_source,title=ignore,titel=ignore",
        ),
        _preset(
            "salesforce",
            "leadsource|hasoptedoutofemail|emailbounceddate|lead source,email opt out|lead-quelle"
            "|lead id,lead source|lead source,rating",
            "status=ignore,leadsource=ignore,rating=ignore,emailbouncedreason=bounced,title=job_title,titel=ignore,"
            "mobilephone=ignore",
            "email,e-mail",
        ),
        _preset(
            "brevo",
            "ext_id,email|sms,firstname|sms,vorname|sms,prenom|double_opt-in,email|contact id,sms",
            "name=last_name,added_time=ignore,modified_time=ignore",
            "email",
        ),
    )
}
"""In the order of asking: from the most to the least telling headers."""
GENERIC = Preset(
    "generic",
    (),
    {
        normal(header): field
        for field, headers in {
            Field.OPT_IN_TIME: "optin_time,opt-in time,opt-in-zeit,anmeldedatum,anmeldezeit,angemeldet am",
            Field.OPT_IN_IP: "optin_ip,opt-in ip,anmelde-ip",
            Field.CONFIRM_TIME: "confirm_time,confirmed at,bestätigt am,bestätigungszeit,doi-datum,doi date,doi-zeit",
            Field.CONFIRM_IP: "confirm_ip,bestätigungs-ip,doi-ip",
        }.items()
        for header in headers.split(",")
    },
)


def detect(headers: list[str]) -> Preset:
    """Tell which export has these headers; GENERIC where none is certain."""
    present = {normal(header) for header in headers}
    for preset in PRESETS.values():
        if any(signature <= present for signature in preset.signatures):
            return preset
    return GENERIC


def meaning(header: str, preset: Preset) -> Field | None:
    """Give what a header means in this kind of export; None when we do not keep it."""
    name = normal(header)
    if name in preset.meanings:
        return preset.meanings[name]
    if name in GENERIC.meanings:
        return GENERIC.meanings[name]
    return next((field for field, variants in COMMON.items() if name in variants), None)


_COULD_SAY_NO = re.compile(
    "status|unsub|opt(?:ed)?out|abmeld|abgemeldet|austrag|ausgetragen|widerruf|widersp|sperr|blacklist|blocklist|blocked"
    "|blockiert|withdr|revok|suppress|robinson|geloescht|deleted|deactiv|deaktiv|inactiv|inaktiv|donot|nichtkontakt"
    "|nichtanschreib|keinewerb|keinnewsletter|keinee?mail|noe?mail|nomarketing|spam|beschwer|complain|bounce"
)


def could_say_no(header: str) -> bool:
    """Tell whether a column by its name may hold somebody's no, a bounce or the state of a subscription."""
    name = normal(header)
    return name in {"aktiv", "active", "isactive"} or _COULD_SAY_NO.search(name) is not None
