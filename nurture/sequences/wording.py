"""How is an explanation told to people? English and German, by the same codes."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from nurture.sequences import cause_words, gate_words

if TYPE_CHECKING:
    from collections.abc import Mapping
    from zoneinfo import ZoneInfo

    from nurture.sequences.explain import Entry, Explanation

LANGUAGES = ("en", "de")

REASONS: Mapping[str, tuple[str, str]] = {
    "sent_again": ("a person had a doubtful mail sent again", "jemand ließ eine ungewisse E-Mail erneut senden"),
    "customer": ("the lead is a customer", "der Lead ist Kunde"),
    "disqualified": ("the lead was disqualified", "der Lead wurde ausgeschlossen"),
    "with_sales": ("sales is talking to the lead", "der Vertrieb spricht mit dem Lead"),
    "merged": ("the lead was merged into another one", "der Lead wurde mit einem anderen zusammengeführt"),
    "goal": ("the goal of the sequence is reached", "das Ziel der Sequenz ist erreicht"),
    "late": ("its time had passed while nothing ran", "ihr Zeitpunkt verstrich, während nichts lief"),
    "stopped": ("sending was stopped by the kill switch", "der Versand war durch den Notschalter gestoppt"),
    "window": ("the send window was closed", "das Versandfenster war geschlossen"),
    "frequency": ("the lead had enough mails in this period", "der Lead hatte im Zeitraum genug E-Mails"),
    "frequency_cap": ("another mail took the last place of this period while this one waited",
                      "eine andere E-Mail belegte den letzten Platz im Zeitraum, während diese wartete"),
    "paused_by_lead": ("the person wants no mail before a date they chose",
                       "die Person möchte bis zu einem selbst gewählten Tag keine E-Mails"),
    "frequency_by_lead": ("the person wants fewer mails than planned",
                          "die Person möchte weniger E-Mails als vorgesehen"),
    "no_template": ("there was no text for this temperature and language",
                    "es gab keinen Text für diese Temperatur und Sprache"),
    "no_consent": ("there was no confirmed consent", "es lag keine bestätigte Einwilligung vor"),
    "withdrawn": ("the consent was withdrawn", "die Einwilligung wurde widerrufen"),
    "stale": ("the consent was unused for too long", "die Einwilligung blieb zu lange ungenutzt"),
    "suppressed": ("the address is on the suppression list", "die Adresse steht auf der Sperrliste"),
    "erased": ("the person was erased", "die Person wurde gelöscht"),
    "not_covered": ("what permits does not cover this mail: its topic, or the customer exception behind it",
                    "die Erlaubnis deckt diese E-Mail nicht: ihr Thema oder die Bestandskundenausnahme dahinter"),
    "restricted": ("the person's data may be used for nothing at present (Art. 18 GDPR)",
                   "die Verarbeitung der Daten dieser Person ist eingeschränkt (Art. 18 DSGVO)"),
    "expired": ("the mail could not be handed over before its send window closed",
                "die E-Mail konnte nicht vor dem Ende ihres Versandfensters übergeben werden"),
    "request_settled": (
        "the sign-up was confirmed, declined or had lapsed meanwhile (confirmation mails only)",
        "die Anmeldung war inzwischen bestätigt, abgelehnt oder verfallen (nur Bestätigungsmails)"),
    "template_changed": ("the links of the mail were changed between planning and sending",
                         "die Links der E-Mail wurden zwischen Planung und Versand geändert"),
    "unreadable_identity": (
        "what is stored about this one person does not open: damaged, or sealed with another key file",
        "die Angaben zu dieser einen Person lassen sich nicht öffnen: beschädigt oder mit anderem Schlüssel"),
    "fault_...": ("the mail could not be handed over as it is; behind `fault_` stands what is wrong",
                  "die E-Mail war so nicht versendbar; hinter `fault_` steht, was nicht stimmt"),
    "render ...": ("the mail could not be written; behind `render` stands the kind of error",
                   "die E-Mail ließ sich nicht erzeugen; hinter `render` steht die Art des Fehlers"),
    "workers_lost": ("three workers died while they prepared the batch of this mail",
                     "drei Prozesse brachen ab, während sie den Stapel dieser E-Mail vorbereiteten"),
    "accepted_in_part": ("taken by the provider, while others of its batch were not",
                         "vom Versanddienst angenommen, andere ihres Stapels nicht"),
    "rejected_in_part": ("rejected by the provider for itself, others of its batch were not",
                         "vom Versanddienst für sich abgelehnt, andere ihres Stapels nicht"),
    "in_doubt_in_part": ("its fate is not known, that of others of its batch is",
                         "ihr Verbleib ist ungewiss, der anderer ihres Stapels nicht"),
    "proven": ("an event, a late answer or the provider's log proves that it was taken",
               "ein Ereignis, eine späte Antwort oder das Protokoll des Versanddienstes belegt die Annahme"),
    "original_accepted": ("the provider said late that it had taken the mail that was to be sent again",
                          "der Versanddienst meldete spät, dass er die zu wiederholende E-Mail angenommen hatte"),
    "wait": ("the sequence waits here", "die Sequenz wartet hier"),
    "cold": ("every gate is open; text for cold", "nichts spricht dagegen; Text für kalt"),
    "warm": ("every gate is open; text for warm", "nichts spricht dagegen; Text für warm"),
    "hot": ("every gate is open; text for hot", "nichts spricht dagegen; Text für heiß"),
}  # fmt: skip

REMEDIES: Mapping[str, tuple[str, str]] = {
    "customer": ("nothing: customers leave nurture", "nichts: Kunden verlassen die Betreuung"),
    "disqualified": ("another stage of the lead", "eine andere Phase des Leads"),
    "with_sales": ("a return by sales (the enrolment rests until then)",
                   "eine Rückgabe durch den Vertrieb (die Teilnahme ruht bis dahin)"),
    "merged": ("nothing: the lead that stays is written to", "nichts: geschrieben wird dem Lead, der bleibt"),
    "goal": ("nothing: this is what the sequence is for", "nichts: dafür ist die Sequenz da"),
    "late": ("a tick in time, or 'late: {then: send}' in sequence.yaml",
             "ein rechtzeitiger Lauf, oder 'late: {then: send}' in sequence.yaml"),
    "stopped": ("'nurture resume'", "'nurture resume'"),
    "window": ("a time inside the window", "ein Zeitpunkt im Versandfenster"),
    "frequency": ("fewer mails in this period, or a higher cap in policies/frequency.yaml",
                  "weniger E-Mails im Zeitraum, oder eine höhere Grenze in policies/frequency.yaml"),
    "frequency_cap": ("fewer mails in this period, or a higher cap in policies/frequency.yaml",
                      "weniger E-Mails im Zeitraum, oder eine höhere Grenze in policies/frequency.yaml"),
    "paused_by_lead": ("the end of the pause, or its end by the person on the preferences page",
                       "das Ende der Pause, oder ihr Abbruch durch die Person auf der Seite Einstellungen"),
    "frequency_by_lead": ("time, or another choice by the person on the preferences page",
                          "Abwarten, oder eine andere Wahl der Person auf der Seite Einstellungen"),
    "no_template": ("a mail in templates/ for this temperature and language ('nurture check' lists the gaps)",
                    "eine E-Mail in templates/ für diese Temperatur und Sprache ('nurture check' nennt die Lücken)"),
    "no_consent": ("a confirmed double opt-in for this purpose", "ein bestätigtes Double-Opt-In für diesen Zweck"),
    "withdrawn": ("a new double opt-in by the person", "ein neues Double-Opt-In der Person"),
    "stale": ("a new double opt-in by the person", "ein neues Double-Opt-In der Person"),
    "suppressed": ("removal from the suppression list, if its reason is gone",
                   "die Streichung von der Sperrliste, wenn ihr Grund entfallen ist"),
    "erased": ("nothing: erasure is final", "nichts: die Löschung ist endgültig"),
    "restricted": ("the end of the restriction", "das Ende der Einschränkung"),
    "not_covered": ("a new double opt-in on a wording that names the topic (`covers`), or the notice in the mail",
                    "ein neues Double-Opt-In zu einem Text mit dem Thema (`covers`), oder der Hinweis in der E-Mail"),
    "expired": ("a provider that answers and no stop while the window is open, or a longer window in sequence.yaml",
                "ein Versanddienst, der antwortet, und kein Stopp im Versandfenster; oder ein längeres Fenster"),
    "request_settled": ("nothing: this mail is no longer wanted", "nichts: diese E-Mail ist nicht mehr gewünscht"),
    "original_accepted": ("nothing: the mail was sent", "nichts: die E-Mail wurde versandt"),
    "template_changed": (
        "sending before editing: links that were planned are counted by number (newer wording is fine)",
        "erst versenden, dann ändern: geplante Links zählen nach ihrer Nummer (neuer Wortlaut schadet nicht)"),
    "unreadable_identity": ("a backup that holds the row, with the keys.json it was made with",
                            "eine Sicherung mit dieser Zeile und der keys.json, mit der sie entstand"),
    "fault_...": ("mending what is named", "die Behebung dessen, was genannt ist"),
    "render ...": ("mending the mail (`nurture template check`)",
                   "die Berichtigung der E-Mail (`nurture template check`)"),
    "workers_lost": ("finding what kills the workers ('nurture delivery failed' lists the mails)",
                     "die Suche nach dem, was die Prozesse abbricht ('nurture delivery failed' nennt die E-Mails)"),
}  # fmt: skip

SKIPPED = (
    "the mail is left out and not sent later; the sequence goes on with its next step",
    "die E-Mail entfällt und wird nicht nachgeholt; die Sequenz geht mit dem nächsten Schritt weiter",
)
AFTERWARDS: Mapping[str, tuple[str, str]] = {
    "frequency_cap": SKIPPED,
    "paused_by_lead": SKIPPED,
    "frequency_by_lead": SKIPPED,
    "expired": SKIPPED,
    "with_sales": (
        "the mail is left out and not sent later; the next step follows when sales returns the lead",
        "die E-Mail entfällt und wird nicht nachgeholt; der nächste Schritt folgt nach der Rückgabe des Leads",
    ),
}
"""What follows when a mail that was planned does not leave. Its enrolment has moved on already, and the mail of a
step is made once, so that nobody gets it twice: a planned mail is never put off, only left out."""

NO_MAIL: Mapping[str, tuple[str, str]] = {
    "objection": ("gets no mail: the person objected (Art. 21 GDPR); only a new double opt-in would change it",
                  "erhält keine E-Mails: Widerspruch (Art. 21 DSGVO); nur ein neues Double-Opt-In würde es ändern"),
    "complained": ("gets no mail: the person reported one as spam; no sign-up changes that",
                   "erhält keine E-Mails: hat eine als Spam gemeldet; keine Anmeldung ändert das"),
    "blocked": ("gets no mail: the address is barred for good by an operator; no sign-up changes that",
                "erhält keine E-Mails: Adresse dauerhaft von Hand gesperrt; keine Anmeldung ändert das"),
    "dead_mailbox": ("gets no mail: the mailbox takes none, so its address is barred",
                     "erhält keine E-Mails: Das Postfach nimmt keine an; die Adresse ist deshalb gesperrt"),
    "suppressed": ("gets no mail: the address is on the suppression list",
                   "erhält keine E-Mails: Die Adresse steht auf der Sperrliste"),
    "no_proof": ("gets no mail: imported without proof of a consent; a confirmed double opt-in would change it",
                 "erhält keine E-Mails: importiert ohne Nachweis; ein bestätigtes Double-Opt-In würde es ändern"),
    "no_consent": ("gets no mail: never agreed to any; a confirmed double opt-in would change it",
                   "erhält keine E-Mails: hat nie eingewilligt; ein bestätigtes Double-Opt-In würde es ändern"),
    "unconfirmed": ("gets no mail yet: signed up, and has not pressed the button that confirms it",
                    "erhält noch keine E-Mails: angemeldet, aber der Knopf zur Bestätigung wurde nicht gedrückt"),
    "withdrawn": ("gets no mail: the consent was withdrawn; only a new double opt-in by the person would change it",
                  "erhält keine E-Mails: Einwilligung widerrufen; nur ein neues Double-Opt-In würde es ändern"),
}  # fmt: skip
"""Why nobody may write to a lead at present, with what would change it."""

OUTCOMES: Mapping[str, tuple[str, str]] = {
    "planned": ("mail planned", "E-Mail eingeplant"),
    "withheld": ("not sent", "nicht gesendet"),
    "deferred": ("put off", "verschoben"),
    "waited": ("wait begun", "Wartezeit begonnen"),
    "branched": ("way chosen", "Weg gewählt"),
    "left": ("left the sequence", "Sequenz verlassen"),
}

WORDS: Mapping[str, tuple[str, str]] = {
    "lead": ("Lead", "Lead"),
    "now": ("Now", "Jetzt"),
    "then": ("On {at}", "Am {at}"),
    "no_lead_yet": ("no lead yet", "noch kein Lead"),
    "not_kept": ("only known of today, so left out: owner, score, next steps, pauses, whether mail was allowed",
                 "nur für heute bekannt und ausgelassen: Zuständigkeit, Score, nächste Schritte, Pausen, Erlaubnis"),
    "score": ("score {score} as reckoned on {scored_at}", "Score {score}, Stand {scored_at}"),
    "erased_now": ("Erased on {erased_at}: nothing says any more who it was.",
                   "Gelöscht am {erased_at}: Nichts sagt mehr, wer es war."),
    "restricted_now": ("Restricted since {restricted_since}: the data is kept and used for nothing (Art. 18 GDPR).",
                       "Eingeschränkt seit {restricted_since}: aufbewahrt und für nichts genutzt (Art. 18 DSGVO)."),
    "none": ("Nothing has happened yet.", "Bisher ist nichts geschehen."),
    "none_step": ("This step never came due for this lead.", "Dieser Schritt wurde für diesen Lead nie fällig."),
    "running": ("in {sequence}, next step {step}, due {due_at}",
                "in {sequence}, nächster Schritt {step}, fällig {due_at}"),
    "resting": ("resting in {sequence} before step {step}", "ruht in {sequence} vor Schritt {step}"),
    "pausing": ("wants no mail until {paused_until}", "möchte bis {paused_until} keine E-Mails"),
    "slowed": ("wants at most {most} mail in {weeks} week(s)", "möchte höchstens {most} E-Mail in {weeks} Woche(n)"),
    "in_sequence": ("in {sequence}", "in {sequence}"),
    "no_sequence": ("in no sequence", "in keiner Sequenz"),
    "until": ("again at {next_at}", "erneut am {next_at}"),
    "next": ("next step at {next_at}", "nächster Schritt am {next_at}"),
    "afterwards": ("what follows: ", "wie es weitergeht: "),
    "change": ("would have changed it: ", "anders wäre es gewesen durch: "),
    "consent": ("consent", "Einwilligung"),
    "ledger": ("ledger", "Protokoll"),
    "suppressed": ("address suppressed", "Adresse gesperrt"),
    "stage": ("stage {stage} ({cause})", "Phase {stage} ({cause})"),
    "enrolled": ("entered sequence {sequence}, version {version}", "Sequenz {sequence}, Version {version} begonnen"),
    "left": ("sequence {sequence} {state}", "Sequenz {sequence} {state}"),
    "event": ("{event}, judged {verdict} ({verdict_reason})", "{event}, beurteilt als {verdict} ({verdict_reason})"),
    "signal": ("buying signal {signal} ({strength})", "Kaufsignal {signal} ({strength})"),
    "points": ("{points:+d} points ({axis}): {reason}", "{points:+d} Punkte ({axis}): {reason}"),
    "temperature": ("temperature {temperature} (score {score})", "Temperatur {temperature} (Score {score})"),
    "mail": ("mail {template}: {state}", "E-Mail {template}: {state}"),
    "permit": ("permitted by ledger entry {authorisation}, resting on consent entry {consent}",
               "freigegeben mit Eintrag {authorisation} aufgrund der Einwilligung in Eintrag {consent}"),
    "number": ("mail number {mail} ('nurture audit proof --message')",
               "Nummer der E-Mail: {mail} ('nurture audit proof --message')"),
    "delivery": ("delivery of {sequence}/{step}: {fact}", "Zustellung von {sequence}/{step}: {fact}"),
    "handover": ("handover {state} ({reason})", "Übergabe {state} ({reason})"),
}  # fmt: skip

CODES: Mapping[str, str] = {
    "accepted": "angenommen", "in_doubt": "in der Schwebe", "unknown": "ungeklärt", "planned": "eingeplant",
    "claimed": "in Arbeit", "submitting": "wird übergeben", "rejected": "abgelehnt", "expired": "verfallen",
    "suppressed": "nicht gesendet", "failed_render": "nicht erzeugbar", "cold": "kalt", "warm": "warm", "hot": "heiß",
    "human": "Mensch", "machine": "Maschine", "unclear": "unklar", "strong": "stark", "weak": "schwach",
    "finished": "beendet", "exited": "verlassen", "created": "angelegt", "delivered": "zugestellt",
    "returned": "zurückgegeben", "escalated": "eskaliert", "withdrawn": "zurückgezogen", "marketing": "Marketing",
    "sales": "Vertrieb", "opened": "geöffnet", "clicked": "geklickt", "bounced": "unzustellbar",
    "complained": "Beschwerde", "processed": "entgegengenommen", "soft_bounced": "vorerst unzustellbar",
    "dropped": "verworfen", "in_sequence": "in Sequenz", "engagement": "Verhalten", "fit": "Passung",
    "consent.requested": "angefragt", "consent.confirmed": "bestätigt", "consent.imported": "übernommen",
    "consent.withdrawn": "widerrufen", "consent.lapsed": "verfallen", "consent.declined": "abgelehnt",
    "record.exported": "Daten ausgegeben", "subject.restricted": "Verarbeitung eingeschränkt",
    "subject.unrestricted": "Einschränkung aufgehoben", "subject.merged": "zusammengeführt",
    "basis.recorded": "Grundlage Bestandskunde eingetragen", "send.authorised": "Versand freigegeben",
    "subject.erased": "gelöscht", "suppression.added": "gesperrt", "send.blocked": "Versand verweigert",
    "unconfirmed": "unbestätigt", "confirmed": "bestätigt", "engaged": "interessiert", "mql": "MQL", "sal": "SAL",
    "sql": "SQL", "handed_over": "an den Vertrieb übergeben", "customer": "Kunde", "recycled": "vom Vertrieb zurück",
    "disqualified": "ausgeschieden", "import": "Import", "consent_confirmed": "Einwilligung bestätigt",
    "threshold": "Schwelle erreicht", "downloaded": "heruntergeladen", "demo_requested": "Demo angefragt",
    "offer_requested": "Angebot angefragt", "price_requested": "Preis angefragt",
    "appointment_requested": "Termin angefragt", "form_submitted": "Formular ausgefüllt",
    "deferred": "verzögert", "unsubscribed": "abgemeldet", "group_unsubscribed": "von einer Gruppe abgemeldet",
    "group_resubscribed": "bei einer Gruppe wieder angemeldet", "account_changed": "Konto beim Versanddienst geändert",
    "replied": "geantwortet", "page_visited": "Seite besucht", "pricing_visited": "Preisseite besucht",
    "page_dwelled": "auf einer Seite verweilt", "social_engaged": "in sozialen Netzen reagiert",
    "webinar_attended": "am Webinar teilgenommen", "trial_started": "Test begonnen",
    "trial_requested": "Test angefragt", "anonymous": "anonym",
    "provider": "Versanddienst", "declared": "von der Quelle angegeben",
    "no sign of a machine": "kein Anzeichen für eine Maschine",
    "provider says machine": "laut Versanddienst eine Maschine", "no GET request": "keine GET-Anfrage",
    "too soon after delivery": "zu bald nach der Zustellung", "honeypot link": "unsichtbarer Link",
    "all links at once": "alle Links auf einmal", "image proxy": "Bilder-Proxy",
    "user agent: scanner": "Kennung eines Prüfprogramms", "user agent: library": "Kennung einer Programmbibliothek",
}  # fmt: skip
"""German words for codes; a code without one is shown as it is."""


OPEN = ("fault_", "render ")
"""Beginnings of codes behind which stands what is wrong."""


def reason_of(code: str) -> str:
    """Give the code that words are kept for."""
    return next((f"{begin}..." for begin in OPEN if code.startswith(begin)), code)


def _pick(words: Mapping[str, tuple[str, str]], code: str, language: str) -> str:
    return words[code][LANGUAGES.index(language)] if code in words else code


def _said(words: Mapping[str, tuple[str, str]], code: str, language: str) -> str:
    """Give the words of a reason; of one that names what is wrong, with that name."""
    kept = reason_of(code)
    return _pick(words, kept, language) if kept == code else f"{_pick(words, kept, language)} ({code})"


def because(facts: Mapping[str, Any], language: str) -> str:
    """Say in plain words why a decision was made."""
    reason = str(facts["reason"])
    if facts["outcome"] == "branched":
        return {"en": f"goes on at {reason}", "de": f"weiter bei {reason}"}[language]
    return _said(REASONS, reason, language)


def remedy(facts: Mapping[str, Any], language: str) -> str | None:
    """Say what would have let a step happen; None where it did happen."""
    if facts["outcome"] not in {"withheld", "deferred", "left"}:
        return None
    reason = reason_of(str(facts["reason"]))
    return _pick(REMEDIES, reason, language) if reason in REMEDIES else None


def afterwards(facts: Mapping[str, Any], language: str) -> str | None:
    """Say what becomes of a planned mail that was withheld at the last moment; None where that needs no word."""
    reason = str(facts["reason"])
    withheld = facts["phase"] == "intent" and facts["outcome"] == "withheld"
    return _pick(AFTERWARDS, reason, language) if withheld and reason in AFTERWARDS else None


def text(told: Explanation, *, language: str, zone: ZoneInfo) -> str:
    """Tell an explanation as lines of text, times in `zone`."""
    teller = _Teller(language, zone)
    lines = teller.head(told)
    if not told.entries:
        lines.append(teller.word("none" if told.step is None else "none_step"))
    for entry in told.entries:
        first, *more = teller.entry(entry)
        lines.append(f"{teller.moment(entry.at)}  {first}")
        lines += [f"{'':18}{line}" for line in more]
    return "\n".join(lines)


def sentence(entry: Entry, *, language: str, zone: ZoneInfo) -> str:
    """Tell one entry in one line, without its gates; times in `zone`."""
    return _Teller(language, zone).entry(entry)[0]


class _Teller:
    """One language and one zone."""

    def __init__(self, language: str, zone: ZoneInfo) -> None:
        self.language, self.zone = language, zone

    def moment(self, at: datetime) -> str:
        """Write a time as the reader's clock shows it."""
        return at.astimezone(self.zone).strftime("%Y-%m-%d %H:%M")

    def word(self, name: str, facts: Mapping[str, Any] | None = None) -> str:
        """Write a phrase, its codes in the language."""
        return _pick(WORDS, name, self.language).format(**{k: self.code(v) for k, v in (facts or {}).items()})

    def code(self, value: object) -> object:
        """Write one value."""
        if isinstance(value, datetime):
            return self.moment(value)
        if self.language != "de":
            return value
        if isinstance(value, float):
            return f"{value}".replace(".", ",")
        return CODES.get(value, value) if isinstance(value, str) else value

    def causes(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Give the facts of an entry with what caused it in the language."""
        said = {name: facts[name] for name in ("cause", "reason") if isinstance(facts.get(name), str)}
        if self.language != "de":
            return {**facts}
        return {**facts, **{name: cause_words.cause(text, CODES) for name, text in said.items()}}

    def head(self, told: Explanation) -> list[str]:
        """Say how the lead stands."""
        now = told.now
        lines = [f"{self.word('lead')} {told.lead_id}" + (f", {told.step}" if told.step else "")]
        if now["erased_at"] is not None:
            return [*lines, self.word("erased_now", now), ""]
        if now["restricted_since"] is not None:
            lines.append(self.word("restricted_now", now))
        if told.at is not None:
            return [*lines, *self.past(told.at, now), ""]
        points = "" if now["score"] is None else f"{self.code(now['score'])}".removesuffix(".0").removesuffix(",0")
        score = "" if now["score"] is None else ", " + self.word("score", {**now, "score": points})
        stands = ", ".join(str(self.code(now[what])) for what in ("stage", "owner", "temperature"))
        lines.append(f"{self.word('now')}: {stands}{score}")
        lines += [
            "  " + self.word("running" if running["state"] == "active" else "resting", running)
            for running in now["enrolments"]
        ]
        if not now["enrolments"]:
            lines.append("  " + self.word("no_sequence"))
        if now["no_mail"] is not None:
            lines.append("  " + _pick(NO_MAIL, now["no_mail"], self.language))
        if now["paused_until"] is not None:
            lines.append("  " + self.word("pausing", now))
        if now["mails_wanted"] is not None:
            lines.append("  " + self.word("slowed", now["mails_wanted"]))
        return [*lines, ""]

    def past(self, at: datetime, then: Mapping[str, Any]) -> list[str]:
        """Say how the lead stood, and what nobody knows any more."""
        known = [str(self.code(then[what])) for what in ("stage", "temperature") if then[what] is not None]
        lines = [f"{self.word('then', {'at': at})}: {', '.join(known) or self.word('no_lead_yet')}"]
        lines += ["  " + self.word("in_sequence", running) for running in then["enrolments"]]
        if not then["enrolments"]:
            lines.append("  " + self.word("no_sequence"))
        return [*lines, "  " + self.word("not_kept")]

    def entry(self, entry: Entry) -> list[str]:
        """Say one thing in one or more lines."""
        if entry.kind == "decision":
            return self.decision(entry.facts)
        if entry.kind == "consent":
            return self.consent(entry.facts)
        facts = {"reason": None, **entry.facts}
        lines = [self.word(entry.kind, self.causes(facts))]
        if entry.kind == "suppressed":
            lines[0] += f": {self.causes(facts)['reason']}"
        if entry.kind in {"mail", "left"} and facts["reason"]:
            lines[0] += f": {_said(REASONS, str(facts['reason']), self.language)}"
        if entry.kind == "mail" and facts["authorisation"] is not None:
            lines += [self.word("permit", facts), self.word("number", facts)]
        if entry.kind == "event" and facts["step"]:
            lines[0] += f": {facts['sequence']}/{facts['step']}"
        return lines

    def consent(self, facts: Mapping[str, Any]) -> list[str]:
        """Say what the ledger says."""
        type_ = str(facts["type"])
        shown = self.code(type_) if self.language == "de" else type_
        named = facts.get("purposes") or ([facts["purpose"]] if "purpose" in facts else [])
        purposes = ", ".join(one if isinstance(one, str) else str(one.get("purpose", "")) for one in named)
        about = "consent" if type_.startswith("consent.") else "ledger"
        return [f"{self.word(about)}: {shown} (#{facts['entry']}{', ' + purposes if purposes else ''})"]

    def gate(self, name: str, detail: str) -> tuple[str, str]:
        """Name a gate and what it said; in English as they are stored."""
        if self.language != "de":
            return name, detail
        reason = _said(REASONS, detail, self.language) if reason_of(detail) in REASONS else None
        return gate_words.name(name), reason or gate_words.detail(name, detail, CODES)

    def decision(self, facts: Mapping[str, Any]) -> list[str]:
        """Say what was decided about a step, why, and what every gate answered."""
        outcome = _pick(OUTCOMES, facts["outcome"], self.language)
        lines = [f"{facts['sequence']}/{facts['step']}: {outcome}: {because(facts, self.language)}"]
        if facts["next_at"] is not None:
            lines[0] += "; " + self.word("until" if facts["outcome"] == "deferred" else "next", facts)
        gates = ((gate["passed"], *self.gate(str(gate["gate"]), str(gate["detail"]))) for gate in facts["gates"])
        lines.append("  ".join(f"{'+' if passed else '-'} {name} {detail}".rstrip() for passed, name, detail in gates))
        if (cure := remedy(facts, self.language)) is not None:
            lines.append(self.word("change") + cure)
        if (follows := afterwards(facts, self.language)) is not None:
            lines.append(self.word("afterwards") + follows)
        return lines
