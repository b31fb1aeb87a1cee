"""What do all pages say: frame, home, imprint, errors, names of purposes?"""

from __future__ import annotations

WORDS: dict[str, dict[str, str]] = {
    # --- every page ---
    "skip": {"de": "Zum Inhalt", "en": "Skip to content"},
    "imprint": {"de": "Impressum", "en": "Imprint"},
    "privacy": {"de": "Datenschutzhinweise", "en": "Privacy notice"},
    "privacy.how": {"de": "Wie wir mit Ihren Daten umgehen:", "en": "How we handle your data:"},
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
    "wrong.403": {"de": "Das kam von einer fremden Seite", "en": "That came from somebody else's page"},
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
    "wrong.text.403": {
        "de": "Wir haben nichts davon angenommen. Bitte benutzen Sie das Formular auf unserer eigenen Seite.",
        "en": "We have taken none of it. Please use the form on our own page.",
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
        "de": "Haben Sie etwas abgesendet? Vielleicht ist es schon bei uns, vielleicht nicht. Bitte versuchen Sie es "
        "in einigen Minuten noch einmal; zweimal schadet nicht.",
        "en": "Did you send something? It may have reached us already, or not. Please try again in a few minutes; "
        "twice does no harm.",
    },
    "wrong.text.503": {
        "de": "Haben Sie etwas abgesendet? Vielleicht ist es schon bei uns, vielleicht nicht. Bitte versuchen Sie es "
        "gleich noch einmal; zweimal schadet nicht.",
        "en": "Did you send something? It may have reached us already, or not. Please try again in a moment; twice "
        "does no harm.",
    },
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
