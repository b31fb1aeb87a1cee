# ruff: noqa: RUF001  German and English typography wants its dashes
"""What do the public pages say, in German (formal) and in English? All strings stand here."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from babel.dates import format_date, format_datetime

if TYPE_CHECKING:
    from datetime import datetime
    from zoneinfo import ZoneInfo

LANGUAGES = ("de", "en")
LONGEST_HEADER = 200

WORDS: dict[str, dict[str, str]] = {
    # --- every page ---
    "skip": {"de": "Zum Inhalt", "en": "Skip to content"},
    "imprint": {"de": "Impressum", "en": "Imprint"},
    "other_language": {"de": "English", "en": "Deutsch"},
    "promise": {
        "de": "Diese Seite setzt keine Cookies, lädt nichts von Dritten und kommt ohne Skripte aus.",
        "en": "This page sets no cookies, loads nothing from third parties and runs no scripts.",
    },
    # --- home ---
    "home.title": {"de": "E-Mails, um die Sie gebeten haben", "en": "E-mail you asked for"},
    "home.lead": {
        "de": "Hier melden Sie sich für E-Mails von {brand} an. Nichts kommt ungefragt: Sie bestätigen Ihre Anmeldung "
        "erst per E-Mail, und jede Nachricht enthält einen Link, mit dem Sie sich sofort wieder abmelden.",
        "en": "This is where you sign up for e-mail from {brand}. Nothing arrives uninvited: you first confirm by "
        "e-mail, and every message carries a link that ends it at once.",
    },
    "home.subscribe": {"de": "Zum Newsletter anmelden", "en": "Sign up for the newsletter"},
    "home.demo": {"de": "Vorführung vereinbaren", "en": "Book a demo"},
    "home.offer": {"de": "Angebot anfragen", "en": "Ask for an offer"},
    "home.price": {"de": "Preise anfragen", "en": "Ask for prices"},
    "home.leave": {"de": "Sie möchten sich abmelden?", "en": "Would you like to unsubscribe?"},
    "home.leave_how": {
        "de": "Am Ende jeder unserer E-Mails steht der Link „Abmelden“. Ein Klick darauf und ein Knopfdruck genügen. "
        "Sie können uns auch einfach antworten.",
        "en": "Every e-mail of ours ends with an “Unsubscribe” link: one click there and one button are enough. "
        "You may also simply reply to us.",
    },
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
    "error.message": {"de": "Bitte kürzen Sie Ihre Nachricht.", "en": "Please shorten your message."},
    "sent.title": {"de": "Bitte schauen Sie in Ihr Postfach", "en": "Please check your mail"},
    "sent.lead": {
        "de": "Wenn die Adresse stimmt, ist gleich eine E-Mail von {brand} bei Ihnen. Öffnen Sie den Link darin und "
        "drücken Sie den Knopf „Anmeldung bestätigen“ – erst dann sind Sie angemeldet.",
        "en": "If the address is right, an e-mail from {brand} is on its way. Open the link in it and press "
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
        "de": "Zum Schutz vor Missbrauch schicken wir an dieselbe Adresse höchstens eine solche E-Mail am Tag.",
        "en": "To prevent abuse we send at most one such e-mail per day to the same address.",
    },
    # --- confirmation ---
    "confirm.title": {"de": "Anmeldung bestätigen", "en": "Confirm your sign-up"},
    "confirm.lead": {
        "de": "Mit dem Knopf bestätigen Sie, dass Sie selbst sich angemeldet haben, und erteilen {company} diese "
        "Einwilligung:",
        "en": "By pressing the button you confirm that it was you who signed up, and give {company} this consent:",
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
        "de": "Der Bestätigungslink ist abgelaufen oder wurde zurückgezogen. Es wurde nichts gespeichert, und Sie "
        "erhalten keine E-Mails. Wenn Sie möchten, melden Sie sich einfach neu an.",
        "en": "The confirmation link has expired or was taken back. Nothing was recorded and you receive no e-mail. "
        "If you like, simply sign up again.",
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
    "leave.preferences": {"de": "Stattdessen Einstellungen ändern", "en": "Change preferences instead"},
    "left.title": {"de": "Sie sind abgemeldet", "en": "You are unsubscribed"},
    "left.lead": {
        "de": "Ihr Widerruf gilt ab sofort. Eine E-Mail, die in diesem Moment schon unterwegs war, kann Sie noch "
        "erreichen; danach kommt keine mehr.",
        "en": "Your withdrawal takes effect now. A message that was already on its way may still reach you; none "
        "will follow.",
    },
    "left.back": {
        "de": "War das ein Versehen? Dann melden Sie sich einfach neu an.",
        "en": "Was this a mistake? Then simply sign up again.",
    },
    # --- preferences ---
    "preferences.title": {"de": "Ihre Einstellungen", "en": "Your preferences"},
    "preferences.saved": {"de": "Gespeichert. Die Änderung gilt ab sofort.", "en": "Saved. The change is in effect."},
    "preferences.on": {"de": "Eingeschaltet", "en": "On"},
    "preferences.off": {"de": "Ausgeschaltet", "en": "Off"},
    "preferences.since": {"de": "seit {moment}", "en": "since {moment}"},
    "preferences.switch_off": {"de": "Ausschalten", "en": "Switch off"},
    "preferences.switch_on": {"de": "Einschalten", "en": "Switch on"},
    "preferences.lead": {
        "de": "Sie bestimmen, was Sie von uns bekommen. Was Sie hier ändern, gilt sofort.",
        "en": "You decide what you get from us. Whatever you change here takes effect at once.",
    },
    "preferences.none": {
        "de": "Es liegt keine Einwilligung von Ihnen vor. Sie erhalten keine E-Mails.",
        "en": "There is no consent of yours on record. You receive no e-mail.",
    },
    "preferences.add": {"de": "Etwas einschalten", "en": "Switch something on"},
    "preferences.how_on": {
        "de": "Einschalten können Sie nur mit einer neuen Anmeldung: Wir schicken eine E-Mail an die Adresse, die wir "
        "von Ihnen haben, und Sie bestätigen dort. So kann niemand mit einer weitergeleiteten E-Mail in Ihrem Namen "
        "einwilligen.",
        "en": "Switching on takes a new sign-up: we send an e-mail to the address we have of yours, and you confirm "
        "there. That way nobody holding a forwarded message can consent in your name.",
    },
    "preferences.ask_on": {"de": "Bestätigung per E-Mail anfordern", "en": "Ask for the e-mail to confirm"},
    "preferences.pace": {"de": "Wie oft?", "en": "How often?"},
    "preferences.pace.planned": {"de": "Wie vorgesehen", "en": "As planned"},
    "preferences.pace.weekly": {"de": "Höchstens eine E-Mail pro Woche", "en": "At most one e-mail a week"},
    "preferences.pace.rarely": {
        "de": "Höchstens eine E-Mail in vier Wochen",
        "en": "At most one e-mail in four weeks",
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
        "de": "Es bleibt: ein Sperrvermerk ohne Ihre Adresse, damit Sie auch künftig nichts erhalten, und was das "
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
    # --- requests ---
    "request.demo_request.title": {"de": "Vorführung vereinbaren", "en": "Book a demo"},
    "request.offer_request.title": {"de": "Angebot anfragen", "en": "Ask for an offer"},
    "request.price_request.title": {"de": "Preise anfragen", "en": "Ask for prices"},
    "request.whitepaper.title": {"de": "Leitfaden anfordern", "en": "Get the guide"},
    "request.whitepaper.lead": {
        "de": "Der Leitfaden zur vorausschauenden Wartung als PDF. Sie erhalten ihn einmalig; "
        "weitere E-Mails senden wir nur mit Ihrer Einwilligung.",
        "en": "The guide to predictive maintenance as a PDF. You get it once; further e-mails come only "
        "with your consent.",
    },
    "request.demo_request.lead": {
        "de": "Wir zeigen Ihnen in 30 Minuten, was zu Ihrer Aufgabe passt. Ein Mensch meldet sich bei Ihnen.",
        "en": "In 30 minutes we show you what fits your task. A person will get in touch.",
    },
    "request.offer_request.lead": {
        "de": "Beschreiben Sie kurz, worum es geht. Ein Mensch meldet sich mit einem Angebot.",
        "en": "Tell us briefly what it is about. A person will come back with an offer.",
    },
    "request.price_request.lead": {
        "de": "Sagen Sie uns, was Sie brauchen. Ein Mensch meldet sich mit Preisen.",
        "en": "Tell us what you need. A person will come back with prices.",
    },
    "request.only_address": {
        "de": "Nur die E-Mail-Adresse ist nötig, alles andere ist freiwillig.",
        "en": "Only the e-mail address is required, everything else is optional.",
    },
    "request.no_newsletter": {
        "de": "Wir verwenden Ihre Angaben nur, um diese Anfrage zu beantworten. Sie melden sich damit nicht zum "
        "Newsletter an.",
        "en": "We use what you enter only to answer this request. It does not sign you up for the newsletter.",
    },
    "request.button": {"de": "Anfrage senden", "en": "Send request"},
    "field.first_name": {"de": "Vorname", "en": "First name"},
    "field.last_name": {"de": "Nachname", "en": "Last name"},
    "field.company": {"de": "Unternehmen", "en": "Company"},
    "field.job_title": {"de": "Position", "en": "Position"},
    "field.salutation": {"de": "Anrede", "en": "Salutation"},
    "field.product_interest": {"de": "Was Sie interessiert", "en": "What interests you"},
    "field.phone": {"de": "Telefon", "en": "Phone"},
    "field.message": {"de": "Ihre Nachricht", "en": "Your message"},
    "received.title": {"de": "Vielen Dank für Ihre Anfrage", "en": "Thank you for your request"},
    "received.lead": {
        "de": "Sie ist bei uns angekommen. Wir melden uns unter der angegebenen Adresse.",
        "en": "It has reached us. We will reply to the address you gave.",
    },
    # --- imprint ---
    "imprint.title": {"de": "Impressum", "en": "Imprint"},
    "imprint.contact": {"de": "Kontakt", "en": "Contact"},
    "imprint.data": {"de": "Was wir speichern", "en": "What we store"},
    "imprint.data_text": {
        "de": "Zu einer Anmeldung speichern wir verschlüsselt Ihre Adresse, den Zeitpunkt, den genauen Wortlaut Ihrer "
        "Einwilligung und die Angaben Ihres Browsers, um die Einwilligung nachweisen zu können. Unbestätigte "
        "Anmeldungen löschen wir. Auskunft und Löschung erhalten Sie über „Einstellungen ändern“ in jeder E-Mail, "
        "beides und Berichtigung auch unter der obigen Adresse.",
        "en": "For a sign-up we store, encrypted, your address, the time, the exact wording of your consent and what "
        "your browser told us, so that the consent can be proven. Unconfirmed sign-ups are deleted. Access "
        "and erasure are behind “Change preferences” in every e-mail; both, and correction, also at the address above.",
    },
    # --- errors ---
    "wrong.400": {"de": "Das haben wir nicht verstanden", "en": "We did not understand that"},
    "wrong.404": {"de": "Diese Seite gibt es nicht", "en": "There is no such page"},
    "wrong.405": {"de": "So lässt sich diese Seite nicht aufrufen", "en": "This page cannot be used that way"},
    "wrong.408": {"de": "Das hat zu lange gedauert", "en": "That took too long"},
    "wrong.413": {"de": "Das ist zu groß", "en": "That is too large"},
    "wrong.415": {"de": "Dieses Format nehmen wir nicht an", "en": "We do not accept this format"},
    "wrong.500": {"de": "Bei uns ist etwas schiefgegangen", "en": "Something went wrong on our side"},
    "wrong.503": {"de": "Gerade nicht erreichbar", "en": "Not available right now"},
    "wrong.text.400": {
        "de": "Bitte gehen Sie zurück und senden Sie das Formular noch einmal ab.",
        "en": "Please go back and send the form again.",
    },
    "wrong.text.404": {
        "de": "Vielleicht fehlt am Ende des Links ein Stück: Manche E-Mail-Programme brechen lange Links um. Öffnen "
        "Sie ihn am besten direkt aus der E-Mail.",
        "en": "Perhaps the end of the link is missing: some mail programs break long links. It is best to open it "
        "straight from the e-mail.",
    },
    "wrong.text.405": {
        "de": "Bitte öffnen Sie den Link in Ihrem Browser.",
        "en": "Please open the link in your browser.",
    },
    "wrong.text.408": {"de": "Bitte versuchen Sie es noch einmal.", "en": "Please try again."},
    "wrong.text.413": {"de": "Bitte kürzen Sie Ihre Angaben.", "en": "Please shorten what you entered."},
    "wrong.text.415": {
        "de": "Bitte benutzen Sie das Formular auf unserer Seite.",
        "en": "Please use the form on our page.",
    },
    "wrong.text.500": {
        "de": "Es wurde nichts gespeichert. Bitte versuchen Sie es in einigen Minuten noch einmal.",
        "en": "Nothing was stored. Please try again in a few minutes.",
    },
    "wrong.text.503": {"de": "Bitte versuchen Sie es gleich noch einmal.", "en": "Please try again in a moment."},
    # --- purposes, by their id ---
    "purpose.newsletter.product": {"de": "Produkt-Newsletter", "en": "Product newsletter"},
    "purpose.newsletter.product.what": {
        "de": "E-Mails mit Fachwissen, Produktneuigkeiten und Einladungen von {company}",
        "en": "E-mail with know-how, product news and invitations from {company}",
    },
    "purpose.email.tracking": {"de": "Messung von Öffnungen und Klicks", "en": "Measuring opens and clicks"},
    "purpose.email.tracking.what": {
        "de": "Wir sehen, welche E-Mails Sie öffnen und welche Links Sie anklicken, um Ihnen Passendes zu schicken.",
        "en": "We see which e-mails you open and which links you click, to send you what fits.",
    },
}


class Words:
    """The catalogue in one language."""

    def __init__(self, language: str, zone: ZoneInfo) -> None:
        """Speak `language`; show times in `zone`."""
        self.language = language
        self.zone = zone

    def __call__(self, key: str, **values: str) -> str:
        """Give a string; raises KeyError for an unknown key or a missing value."""
        return WORDS[key][self.language].format_map(values)

    def purpose(self, purpose: str) -> str:
        """Name a purpose; one the catalogue does not know is shown by its id."""
        return WORDS.get(f"purpose.{purpose}", {}).get(self.language, purpose)

    def purpose_what(self, purpose: str, company: str) -> str:
        """Say what a purpose means; empty for one the catalogue does not know."""
        return WORDS.get(f"purpose.{purpose}.what", {}).get(self.language, "").format_map({"company": company})

    def day(self, at: datetime) -> str:
        """Show the day of a time in the legal zone, such as `23. November 2026`."""
        return format_date(
            at.astimezone(self.zone), {"de": "d. MMMM y", "en": "d MMMM y"}[self.language], self.language
        )

    def last_day(self, end: datetime) -> str:
        """Show the last day before a time that is no longer part of a span."""
        return self.day(end - timedelta(seconds=1))

    def moment(self, at: datetime) -> str:
        """Show a time in the legal zone, such as `23. November 2026, 09:00 Uhr`."""
        pattern = {"de": "d. MMMM y, HH:mm 'Uhr'", "en": "d MMMM y, HH:mm"}[self.language]
        return format_datetime(at.astimezone(self.zone), pattern, locale=self.language)


def choose(asked: str | None, header: str, default: str) -> str:
    """Choose the language: `?lang=` first, then Accept-Language by its weights, then the default."""
    if asked in LANGUAGES:
        return asked
    best, weight = default, 0.0
    for part in header[:LONGEST_HEADER].split(","):
        tag, _, parameter = part.strip().partition(";")
        language = tag.strip().lower()[:2]
        try:
            q = float(parameter.strip().removeprefix("q=")) if parameter else 1.0
        except ValueError:
            continue
        if language in LANGUAGES and q > weight:
            best, weight = language, q
    return best
