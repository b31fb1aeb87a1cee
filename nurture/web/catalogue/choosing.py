# ruff: noqa: RUF001  German and English typography wants its dashes
"""What do the pages of choosing and of one's own data say?"""

from __future__ import annotations

WORDS: dict[str, dict[str, str]] = {
    # --- preferences ---
    "preferences.title": {"de": "Ihre Einstellungen", "en": "Your preferences"},
    "preferences.saved": {"de": "Gespeichert. Die Änderung gilt ab sofort.", "en": "Saved. The change is in effect."},
    "preferences.on": {"de": "Eingeschaltet", "en": "On"},
    "preferences.off": {"de": "Ausgeschaltet", "en": "Off"},
    "preferences.rests": {"de": "Ruht", "en": "At rest"},
    "preferences.rests_why": {
        "de": "Dazu kam so lange keine E-Mail, dass Ihre Einwilligung dafür nicht mehr genügt. Unten können Sie sie "
        "erneuern.",
        "en": "There has been no such e-mail for so long that your consent no longer covers one. You can renew it "
        "below.",
    },
    "preferences.since": {"de": "seit {moment}", "en": "since {moment}"},
    "preferences.switch_off": {"de": "Ausschalten", "en": "Switch off"},
    "preferences.switch_on": {"de": "Einschalten", "en": "Switch on"},
    "preferences.renew": {"de": "Auf den heutigen Wortlaut erneuern", "en": "Renew on the current wording"},
    "preferences.lead": {
        "de": "Sie bestimmen, was Sie von uns bekommen. Was Sie hier ändern, gilt sofort.",
        "en": "You decide what you get from us. Whatever you change here takes effect at once.",
    },
    "preferences.none": {
        "de": "Es liegt keine Einwilligung von Ihnen vor. Sie erhalten keine E-Mails.",
        "en": "There is no consent of yours on record. You receive no e-mail.",
    },
    "preferences.add": {"de": "Etwas einschalten", "en": "Switch something on"},
    "preferences.add_or_renew": {"de": "Etwas einschalten oder erneuern", "en": "Switch something on, or renew it"},
    "preferences.how_on": {
        "de": "Einschalten und erneuern können Sie nur mit einer neuen Anmeldung: Wir schicken eine E-Mail an die "
        "Adresse, die wir von Ihnen haben, und Sie bestätigen dort. So kann niemand mit einer weitergeleiteten E-Mail "
        "in Ihrem Namen einwilligen. Falls in den letzten 24 Stunden schon eine solche E-Mail kam, schicken wir keine "
        "zweite; versuchen Sie es dann morgen noch einmal.",
        "en": "Switching on and renewing take a new sign-up: we send an e-mail to the address we have of yours, "
        "and you confirm there. That way nobody holding a forwarded message can consent in your name. If such an "
        "e-mail came within the last 24 hours, we send no second one; please try again tomorrow.",
    },
    "preferences.ask_on": {"de": "Bestätigung per E-Mail anfordern", "en": "Ask for the e-mail to confirm"},
    "preferences.pace": {"de": "Wie oft?", "en": "How often?"},
    "preferences.pace.planned": {"de": "Wie vorgesehen", "en": "As planned"},
    "preferences.pace.weekly": {"de": "Höchstens eine E-Mail pro Woche", "en": "At most one e-mail a week"},
    "preferences.pace.rarely": {
        "de": "Höchstens eine E-Mail in vier Kalenderwochen",
        "en": "At most one e-mail in four calendar weeks",
    },
    "preferences.save": {"de": "Speichern", "en": "Save"},
    "preferences.pause": {"de": "Pause einlegen", "en": "Take a break"},
    "preferences.pause_how": {
        "de": "So lange kommt keine E-Mail. Danach geht es von selbst weiter; Ihre Einwilligungen bleiben, wie sie "
        "sind.",
        "en": "No e-mail for that long. After that it goes on by itself; your consents stay as they are.",
    },
    "preferences.pause_days": {"de": "{days} Tage", "en": "{days} days"},
    "preferences.paused": {"de": "Pause bis {day}", "en": "Paused until {day}"},
    "preferences.paused_how": {
        "de": "Bis dahin erhalten Sie keine E-Mails von uns. Danach geht es von selbst weiter.",
        "en": "Until then you receive no e-mail from us. After that it goes on by itself.",
    },
    "preferences.resume": {"de": "Pause beenden", "en": "End the break"},
    "preferences.data": {"de": "Was wir über Sie speichern", "en": "What we store about you"},
    "preferences.sign_up": {"de": "Zur Anmeldung", "en": "Go to sign-up"},
    "preferences.all": {"de": "Alles beenden", "en": "End everything"},
    "preferences.all_how": {
        "de": "Widerruft alle Einwilligungen gegenüber {company} auf einmal.",
        "en": "Withdraws all consents given to {company} at once.",
    },
    "preferences.all_button": {"de": "Alle Einwilligungen widerrufen", "en": "Withdraw all consents"},
    # --- one question more ---
    "question.save": {"de": "Antworten", "en": "Answer"},
    "question.skip": {"de": "Möchte ich nicht sagen", "en": "I would rather not say"},
    "told.title": {"de": "Vielen Dank", "en": "Thank you"},
    "told.lead": {
        "de": "Das war schon alles. Ihre Antwort ist verschlüsselt gespeichert; was Sie nicht sagen möchten, fragen "
        "wir so bald nicht wieder.",
        "en": "That was all. Your answer is stored encrypted; what you would rather not say we will not ask again "
        "any time soon.",
    },
    "told.back": {"de": "Zu Ihren Einstellungen", "en": "To your preferences"},
    "confirmed.more": {
        "de": "Was Sie bekommen und wie oft, bestimmen Sie jederzeit selbst.",
        "en": "What you get, and how often, is always up to you.",
    },
    # --- my data ---
    "data.title": {"de": "Was wir über Sie speichern", "en": "What we store about you"},
    "data.lead": {
        "de": "{company} speichert über Sie:",
        "en": "{company} stores about you:",
    },
    "data.nothing": {
        "de": "Zu diesem Link ist nichts gespeichert.",
        "en": "Nothing is stored for this link.",
    },
    "data.address": {"de": "Ihre E-Mail-Adresse", "en": "Your e-mail address"},
    "data.address_what": {
        "de": "damit wir Ihnen schreiben können – oder wissen, dass wir es nicht dürfen",
        "en": "so that we can write to you – or know that we may not",
    },
    "data.consents": {"de": "Ihre Einwilligungen und Widerrufe", "en": "Your consents and withdrawals"},
    "data.consents_what": {
        "de": "mit Wortlaut, Zeitpunkt und den Angaben Ihres Browsers, als Nachweis",
        "en": "with wording, time and what your browser told us, as proof",
    },
    "data.details": {"de": "Was Sie uns gesagt haben", "en": "What you told us"},
    "data.skipped": {
        "de": "welche Frage Sie nicht beantworten wollten",
        "en": "which question you chose not to answer",
    },
    "data.mails": {"de": "Unsere E-Mails an Sie", "en": "Our e-mails to you"},
    "data.mails_what": {
        "de": "welche wir wann geschickt haben und ob sie ankamen",
        "en": "which we sent when, and whether they arrived",
    },
    "data.events": {"de": "Was Sie getan haben", "en": "What you did"},
    "data.events_what": {
        "de": "Anfragen, und Klicks, soweit Sie der Messung zugestimmt hatten",
        "en": "requests, and clicks as far as you had agreed to measuring",
    },
    "data.score": {"de": "Eine Einschätzung Ihres Interesses", "en": "An estimate of your interest"},
    "data.score_what": {
        "de": "Punkte nach festen Regeln; danach richtet sich, was wir Ihnen schreiben",
        "en": "points by fixed rules; what we write to you follows from it",
    },
    "data.no_values": {
        "de": "Die Angaben selbst zeigen wir hier nicht: Diese Seite kann öffnen, wer Ihre E-Mail weitergeleitet "
        "bekommt.",
        "en": "We do not show the data itself here: whoever gets your e-mail forwarded can open this page.",
    },
    "data.copy": {"de": "Kopie Ihrer Daten", "en": "A copy of your data"},
    "data.copy_how": {
        "de": "Sie erhalten alles, was gespeichert ist, lesbar und maschinenlesbar, innerhalb eines Monats – nur an "
        "die E-Mail-Adresse, die wir von Ihnen haben.",
        "en": "You receive everything that is stored, readable and machine-readable, within a month – only at the "
        "e-mail address we have of yours.",
    },
    "data.copy_button": {"de": "Kopie anfordern", "en": "Ask for a copy"},
    "data.copy_taken": {"de": "Ihre Anfrage ist eingegangen.", "en": "Your request has been received."},
    "data.copy_open": {
        "de": "Ihre Anfrage vom {received} liegt uns vor. Sie erhalten die Kopie spätestens am {due}.",
        "en": "We have your request of {received}. You receive the copy by {due} at the latest.",
    },
    "data.erase": {"de": "Löschung", "en": "Erasure"},
    "data.erase_how": {
        "de": "Wir beenden sofort alles und löschen, was {company} über Sie gespeichert hat.",
        "en": "We end everything at once and erase what {company} has stored about you.",
    },
    "data.erase_button": {"de": "Löschung beantragen …", "en": "Ask for erasure …"},
    "data.erase_open": {
        "de": "Ihr Antrag vom {received} liegt uns vor. Sie erhalten keine E-Mails mehr, die Löschung folgt.",
        "en": "We have your request of {received}. You receive no more e-mail; the erasure follows.",
    },
    "data.other": {
        "de": "Etwas berichtigen, einschränken oder widersprechen? Schreiben Sie uns:",
        "en": "To correct, restrict or object, write to us:",
    },
    "erase.title": {"de": "Wirklich alles löschen?", "en": "Really erase everything?"},
    "erase.lead": {
        "de": "Das lässt sich nicht rückgängig machen.",
        "en": "This cannot be undone.",
    },
    "erase.now": {
        "de": "Sofort: Alle Einwilligungen sind widerrufen, es kommt keine E-Mail mehr.",
        "en": "At once: all consents are withdrawn, no more e-mail is sent.",
    },
    "erase.soon": {
        "de": "In Kürze: Adresse, Angaben und Verlauf werden gelöscht.",
        "en": "Soon: address, details and history are erased.",
    },
    "erase.stays": {
        "de": "Es bleibt: eine Sperre ohne Ihre Adresse, damit Sie auch künftig nichts erhalten, und was das "
        "Gesetz aufzubewahren verlangt.",
        "en": "What stays: a block that does not hold your address, so that nothing reaches you in future, and what "
        "the law demands to keep.",
    },
    "erase.button": {"de": "Ja, alles löschen", "en": "Yes, erase everything"},
    "erase.back": {"de": "Abbrechen", "en": "Cancel"},
    "erasing.title": {"de": "Ihr Antrag ist eingegangen", "en": "Your request has been received"},
    "erasing.lead": {
        "de": "Alle Einwilligungen sind widerrufen, Sie erhalten keine E-Mails mehr. Wir löschen jetzt, was über Sie "
        "gespeichert ist.",
        "en": "All consents are withdrawn, you receive no more e-mail. We now erase what is stored about you.",
    },
}
