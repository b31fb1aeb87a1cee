"""Wordings for tests, so that these rest on no file; the product's own stand in policies/consent.yaml."""

from __future__ import annotations

from consent.states import NEWSLETTER, TRACKING
from consent.texts import TextVersion

TOPICS = {
    "de": "Fachwissen, Produktneuheiten, Veranstaltungen und Angebote",
    "en": "expert knowledge, product news, events and offers",
}
MEASURED = {
    "de": "ob und wann ich E-Mails öffne und auf welche Links ich klicke",
    "en": "whether and when I open e-mails and which links I click",
}
BODIES = {
    (NEWSLETTER, "de"): (
        "Ja, {company} darf mir per E-Mail Informationen zu folgenden Themen senden: {topics}. "
        "Ich kann meine Einwilligung jederzeit mit Wirkung für die Zukunft widerrufen, "
        "zum Beispiel über den Abmeldelink in jeder E-Mail."
    ),
    (NEWSLETTER, "en"): (
        "Yes, {company} may send me information by e-mail on these topics: {topics}. "
        "I can withdraw my consent at any time with effect for the future, "
        "for example by the unsubscribe link in every e-mail."
    ),
    (TRACKING, "de"): (
        "Ja, {company} darf personenbezogen auswerten, {topics}, "
        "um Inhalte an meinen Interessen auszurichten. Ich kann diese Einwilligung jederzeit gesondert "
        "mit Wirkung für die Zukunft widerrufen und erhalte die E-Mails dann weiterhin."
    ),
    (TRACKING, "en"): (
        "Yes, {company} may evaluate in a personal profile {topics}, "
        "so that content fits my interests. I can withdraw this consent separately at any time "
        "with effect for the future and will still receive the e-mails."
    ),
}


def standard(controller: str, company: str) -> list[TextVersion]:
    """Give version 1 of both wordings in both languages for a controller with this legal name."""
    made = []
    for (purpose, language), body in BODIES.items():
        topics = (MEASURED if purpose == TRACKING else TOPICS)[language]
        made.append(
            TextVersion(
                controller=controller,
                purpose=purpose,
                language=language,
                version=1,
                body=body.format(company=company, topics=topics),
                controller_name=company,
                subject_matter=topics,
            )
        )
    return made
