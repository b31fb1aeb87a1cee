# ruff: noqa: RUF001  German and English typography wants its dashes
"""What do the pages of the way in and out say: sign-up, confirmation, unsubscribing?"""

from __future__ import annotations

WORDS: dict[str, dict[str, str]] = {
    # --- sign-up ---
    "subscribe.title": {"de": "Zum Newsletter anmelden", "en": "Sign up for the newsletter"},
    "subscribe.lead": {
        "de": "Wir brauchen nur Ihre E-Mail-Adresse. Danach erhalten Sie eine E-Mail, in der Sie die Anmeldung "
        "bestätigen – vorher schreiben wir Ihnen nichts weiter.",
        "en": "All we need is your e-mail address. You will then receive one e-mail to confirm your sign-up – "
        "we write nothing else before that.",
    },
    "subscribe.consents": {"de": "Ihre Einwilligung", "en": "Your consent"},
    "subscribe.optional": {"de": "freiwillig", "en": "optional"},
    "subscribe.button": {"de": "Anmelden", "en": "Sign up"},
    "subscribe.free": {
        "de": "Sie können jede Einwilligung jederzeit widerrufen – über den Link in jeder E-Mail.",
        "en": "You can withdraw each consent at any time – with the link in every e-mail.",
    },
    "subscribe.closed": {
        "de": "Zurzeit ist keine Anmeldung möglich. Bitte versuchen Sie es später noch einmal.",
        "en": "Sign-up is not possible at the moment. Please try again later.",
    },
    "field.address": {"de": "E-Mail-Adresse", "en": "E-mail address"},
    "field.address_hint": {"de": "name@ihre-firma.de", "en": "name@your-company.com"},
    "field.trap": {"de": "Bitte leer lassen", "en": "Please leave empty"},
    "error.title": {"de": "Fehler", "en": "Error"},
    "error.summary": {"de": "Bitte prüfen Sie Ihre Angaben.", "en": "Please check what you entered."},
    "error.address": {
        "de": "Das ist keine vollständige E-Mail-Adresse. Sie sieht zum Beispiel so aus: name@firma.de",
        "en": "This is not a complete e-mail address. One looks like this: name@company.com",
    },
    "error.typo": {
        "de": "Meinten Sie @{suggestion}? Bitte korrigieren Sie die Adresse – oder senden Sie das Formular noch "
        "einmal ab, wenn sie stimmt.",
        "en": "Did you mean @{suggestion}? Please correct the address – or send the form again if it is right.",
    },
    "error.purpose": {
        "de": "Bitte setzen Sie hier ein Häkchen, wenn Sie den Newsletter erhalten möchten. "
        "Ohne Ihre Einwilligung schreiben wir Ihnen nicht.",
        "en": "Please tick this box if you would like the newsletter. Without your consent we do not write to you.",
    },
    "error.again": {
        "de": "Bitte prüfen Sie Ihre Angaben und senden Sie das Formular noch einmal ab.",
        "en": "Please look over what you entered and send the form once more.",
    },
    "error.wording": {
        "de": "Der Text der Einwilligung hat sich inzwischen geändert. Bitte lesen Sie ihn noch einmal und senden Sie "
        "das Formular dann ab.",
        "en": "The wording of the consent has changed in the meantime. Please read it again, then send the form.",
    },
    "error.later": {
        "de": "Gerade kommen hier zu viele Anfragen an. Ihre ist noch nicht bei uns: Bitte senden Sie sie später noch "
        "einmal ab. Wenn es eilt, finden Sie unsere Adresse im Impressum.",
        "en": "Too many requests are arriving here just now. Yours has not reached us yet: please send it again "
        "later. If it is urgent, you will find our address in the imprint.",
    },
    "error.message": {"de": "Bitte kürzen Sie Ihre Nachricht.", "en": "Please shorten your message."},
    "sent.title": {"de": "Bitte schauen Sie in Ihr Postfach", "en": "Please check your mail"},
    "sent.lead": {
        "de": "Wenn die Adresse stimmt und in den letzten 24 Stunden noch keine solche E-Mail kam, ist gleich eine "
        "von {brand} bei Ihnen. Öffnen Sie den Link darin und drücken Sie den Knopf "
        "„Anmeldung bestätigen“ – erst dann sind Sie angemeldet.",
        "en": "If the address is right and no such e-mail came within the last 24 hours, one from {brand} is on its "
        "way. Open the link in it and press "
        "“Confirm sign-up” – only then are you signed up.",
    },
    "sent.nothing": {"de": "Keine E-Mail angekommen?", "en": "No e-mail?"},
    "sent.nothing_1": {
        "de": "Geben Sie ihr einige Minuten und sehen Sie auch im Spam-Ordner nach.",
        "en": "Give it a few minutes and look in your spam folder too.",
    },
    "sent.nothing_2": {
        "de": "Prüfen Sie, ob die Adresse richtig geschrieben war.",
        "en": "Check that the address was spelled correctly.",
    },
    "sent.nothing_3": {
        "de": "Zum Schutz vor Missbrauch schicken wir an dieselbe Adresse höchstens eine solche E-Mail am Tag. Falls "
        "in den letzten 24 Stunden schon eine kam, benutzen Sie deren Link, oder versuchen Sie es morgen noch einmal.",
        "en": "To prevent abuse we send at most one such e-mail per day to the same address. If one came within the "
        "last 24 hours, its link is the one to use, or try again tomorrow.",
    },
    # --- confirmation ---
    "confirm.title": {"de": "Anmeldung bestätigen", "en": "Confirm your sign-up"},
    "confirm.lead": {
        "de": "Mit dem Knopf bestätigen Sie, dass Sie selbst sich angemeldet haben, und willigen gegenüber "
        "{company} in Folgendes ein:",
        "en": "By pressing the button you confirm that it was you who signed up, and consent, towards {company}, "
        "to the following:",
    },
    "confirm.button": {"de": "Anmeldung bestätigen", "en": "Confirm sign-up"},
    "confirm.expires": {"de": "Der Link gilt bis {moment}.", "en": "The link is valid until {moment}."},
    "confirm.not_me": {"de": "Sie haben sich nicht angemeldet?", "en": "You did not sign up?"},
    "confirm.not_me_how": {
        "de": "Dann hat jemand Ihre Adresse eingetragen. Sie brauchen nichts zu tun: Ohne Bestätigung erhalten Sie "
        "nichts, und die Anmeldung wird gelöscht. Mit diesem Knopf löschen Sie sie sofort.",
        "en": "Then somebody else entered your address. You need not do anything: without confirmation you receive "
        "nothing and the sign-up is deleted. This button deletes it right away.",
    },
    "confirm.decline": {"de": "Das war ich nicht", "en": "That was not me"},
    "confirmed.title": {"de": "Vielen Dank, Sie sind angemeldet", "en": "Thank you, you are signed up"},
    "confirmed.lead": {
        "de": "Ihre Einwilligung ist gespeichert. In jeder E-Mail finden Sie einen Link, mit dem Sie sich mit einem "
        "Klick wieder abmelden oder Ihre Einstellungen ändern.",
        "en": "Your consent is recorded. Every e-mail carries links to unsubscribe with one click or to change your "
        "preferences.",
    },
    "already.title": {"de": "Sie sind bereits angemeldet", "en": "You are already signed up"},
    "already.lead": {
        "de": "Diese Anmeldung wurde schon bestätigt. Sie brauchen nichts weiter zu tun.",
        "en": "This sign-up has been confirmed before. There is nothing more to do.",
    },
    "lapsed.title": {"de": "Diese Anmeldung gilt nicht mehr", "en": "This sign-up is no longer valid"},
    "lapsed.lead": {
        "de": "Der Bestätigungslink ist abgelaufen, oder Sie haben sich seither abgemeldet. Durch ihn wurde nichts "
        "gespeichert, und Sie erhalten daraus keine E-Mails. Wenn Sie möchten, melden Sie sich einfach neu an.",
        "en": "The confirmation link has expired, or you have unsubscribed since. Nothing was recorded by it and you "
        "receive no e-mail from it. If you like, simply sign up again.",
    },
    "lapsed.again": {"de": "Neu anmelden", "en": "Sign up again"},
    "declined.title": {"de": "Die Anmeldung ist gelöscht", "en": "The sign-up is deleted"},
    "declined.lead": {
        "de": "Sie erhalten von uns keine E-Mails. Entschuldigen Sie bitte die Störung.",
        "en": "You will receive no e-mail from us. Please excuse the disturbance.",
    },
    # --- unsubscribe ---
    "leave.title": {"de": "Abmelden", "en": "Unsubscribe"},
    "leave.lead": {
        "de": "Mit dem Knopf beenden Sie sofort und ohne weitere Rückfrage:",
        "en": "This button ends the following at once, without further questions:",
    },
    "leave.button": {"de": "Jetzt abmelden", "en": "Unsubscribe now"},
    "leave.all": {
        "de": "Auch alle anderen Einwilligungen gegenüber {company} widerrufen",
        "en": "Also withdraw all other consents given to {company}",
    },
    "leave.preferences": {
        "de": "Lieber seltener, oder eine Pause? Einstellungen ändern",
        "en": "Rather less often, or a break? Change preferences",
    },
    "left.title": {"de": "Sie sind abgemeldet", "en": "You are unsubscribed"},
    "left.lead": {
        "de": "Ihr Widerruf gilt ab sofort. Eine E-Mail, die in diesem Moment schon unterwegs war, kann Sie noch "
        "erreichen; danach kommt keine mehr.",
        "en": "Your withdrawal takes effect now. A message that was already on its way may still reach you; none "
        "will follow.",
    },
    "left.since": {
        "de": "{purpose}: abgemeldet seit {moment}. Sie brauchen nichts weiter zu tun.",
        "en": "{purpose}: unsubscribed since {moment}. There is nothing more to do.",
    },
    "left.others": {
        "de": "Gegenüber {company} gelten noch diese Einwilligungen von Ihnen:",
        "en": "These consents you gave to {company} still stand:",
    },
    "left.lead_one": {
        "de": "Ihr Widerruf gilt ab sofort. Eine E-Mail dazu, die in diesem Moment schon unterwegs war, kann Sie noch "
        "erreichen; danach kommt dazu keine mehr.",
        "en": "Your withdrawal takes effect now. A message about it that was already on its way may still reach you; "
        "none will follow.",
    },
    "left.stays": {"de": "Weiterhin erhalten Sie von uns:", "en": "You go on receiving from us:"},
    "left.end_more": {"de": "Auch das beenden oder ändern", "en": "End or change that, too"},
    "left.back": {
        "de": "War das ein Versehen? Dann melden Sie sich einfach neu an.",
        "en": "Was this a mistake? Then simply sign up again.",
    },
}
