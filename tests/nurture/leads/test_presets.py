"""Is each export recognised by its headers, in German and English?"""

from __future__ import annotations

import pytest

from nurture.leads.importing.columns import GENERIC, PRESETS, Field, detect, meaning

EXPORTS = {
    "hubspot": "Record ID,First Name,Last Name,Email,Phone Number,Job Title,Company Name,Lead Status,Lifecycle Stage",
    "hubspot (German)": "Datensatz-ID,Vorname,Nachname,E-Mail,Telefonnummer,Jobbezeichnung,Lifecycle-Phase",
    "mailchimp": "Email Address,First Name,Last Name,MEMBER_RATING,OPTIN_TIME,OPTIN_IP,CONFIRM_TIME,CONFIRM_IP,LEID",
    "mailchimp (German)": "E-Mail-Adresse,Vorname,Nachname,MEMBER_RATING,OPTIN_TIME,CONFIRM_TIME,LEID,EUID,TAGS",
    "brevo": "EMAIL,FIRSTNAME,LASTNAME,SMS,EXT_ID",
    "brevo (German)": "EMAIL,VORNAME,NACHNAME,SMS",
    "cleverreach": "email,registered,activated,deactivated,source",
    "cleverreach (German)": "E-Mail,Registriert,Aktiviert,Quelle",
    "rapidmail": "email,firstname,lastname,created,created_ip,activated,activated_ip,status",
    "rapidmail (German)": "E-Mail-Adresse,Vorname,erstellt am,erstellt IP,aktiviert am,aktiviert IP,Status",
    "salesforce": "FirstName,LastName,Company,Email,LeadSource,Status,Rating,HasOptedOutOfEmail,EmailBouncedDate",
    "salesforce (report)": "First Name,Last Name,Email,Lead Source,Email Opt Out",
}


@pytest.mark.parametrize("name", EXPORTS)
def test_an_export_is_recognised(name: str) -> None:
    """The headers of each program's export tell which program it was."""
    assert detect(EXPORTS[name].split(",")).name == name.split(" ", maxsplit=1)[0]


@pytest.mark.parametrize("headers", ["Email,Name,Firma", "E-Mail;Vorname", "Email,Status"])
def test_any_list_is_generic(headers: str) -> None:
    """Headers that every list has name no program."""
    assert detect(headers.split(",")) is GENERIC


@pytest.mark.parametrize("name", EXPORTS)
def test_its_address_column_is_found(name: str) -> None:
    """Each export has exactly one column that is the address."""
    headers = EXPORTS[name].split(",")
    assert [meaning(header, detect(headers)) for header in headers].count(Field.EMAIL) == 1


@pytest.mark.parametrize("name", ["rapidmail", "rapidmail (German)", "mailchimp", "cleverreach"])
def test_opt_in_evidence_is_found(name: str) -> None:
    """Where an export carries both times, both are found."""
    headers = EXPORTS[name].split(",")
    assert {Field.OPT_IN_TIME, Field.CONFIRM_TIME} <= {meaning(header, detect(headers)) for header in headers}


def test_a_create_date_is_no_opt_in() -> None:
    """When a record was made says nothing about consent."""
    assert meaning("Create Date", PRESETS["hubspot"]) is None
    assert meaning("Created", GENERIC) is None
