"""What do the enquiry forms say?"""

from __future__ import annotations

WORDS: dict[str, dict[str, str]] = {
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
}
