"""What can be wrong with a list, and what does the person at the desk do about it? Codes, German, English."""

from __future__ import annotations

from enum import StrEnum

from nurture import NurtureError
from nurture.leads.hygiene import REMEDIES, BadAddressReason


class FileProblem(StrEnum):
    """Why a whole file is refused."""

    UNREADABLE = "unreadable"
    """Not there, no permission, a folder."""
    EMPTY = "empty"
    """No byte, or nothing but white space."""
    TOO_LARGE = "too_large"
    """More bytes, rows or columns than an import takes; packed or not."""
    BINARY = "binary"
    """No text and no workbook: a picture, a PDF, an archive."""
    ENCODING = "encoding"
    """Text whose letters cannot be told for sure."""
    LONG_LINE = "long_line"
    """A line or cell far longer than any export writes."""
    OPEN_QUOTE = "open_quote"
    """A quotation mark that is never closed swallows the following lines."""
    HEADER_ONLY = "header_only"
    """Column names, but no row."""
    NO_ADDRESS_COLUMN = "no_address_column"
    """No column holds e-mail addresses."""
    TWO_ADDRESS_COLUMNS = "two_address_columns"
    """More than one column could be the address."""
    DUPLICATE_HEADER = "duplicate_header"
    """Two columns that matter have the same name or meaning."""
    UNREAD_NO = "unread_no"
    """A column that could say no is not read, in a list that would prove consent."""
    BROKEN_WORKBOOK = "broken_workbook"
    """A workbook that cannot be opened: cut off, damaged, protected by a password."""
    BAD_OPTION = "bad_option"
    """The map or an option names something that the file does not have."""
    CHANGED = "changed"
    """The file was changed while it was read."""


class ImportFileError(NurtureError):
    """A file that cannot be imported; nothing of it was. Names file, line, reason and remedy, no cell."""

    def __init__(self, problem: FileProblem, text: str, remedy: str, *, line: int | None = None) -> None:
        """Keep the parts, so that they can be counted and shown one by one."""
        place = "" if line is None else f"line {line}: "
        super().__init__(f"{place}{text}. {remedy}. Nothing was imported.")
        self.problem = problem
        self.line = line


class RowProblem(StrEnum):
    """Why a single row is refused while the others come in."""

    NO_ADDRESS = "no_address"
    """The address cell is empty."""
    BAD_ADDRESS = "bad_address"
    """The address fails the syntax check; the code gets the check's reason behind a colon."""
    TOO_MANY_CELLS = "too_many_cells"
    """More cells than columns: some value holds the separator and everything behind it is shifted."""
    CONTROL_CHARACTER = "control_character"
    """A line break, NUL or invisible character in a name or another cell we keep."""
    FORMULA = "formula"
    """A cell we keep starts like a formula."""
    MOJIBAKE = "mojibake"
    """Letters were broken by an earlier conversion (two odd characters for one umlaut)."""
    TOO_LONG = "too_long"
    """A name or another cell we keep has more than 200 characters."""
    UNREADABLE_NO = "unreadable_no"
    """The row says no, but whose no it is cannot be read; the file proves no consent until it is mended."""
    DUPLICATE = "duplicate_in_file"
    """The same address stands in an earlier row, which was taken."""


ROW_REMEDIES: dict[RowProblem, tuple[str, str]] = {
    RowProblem.NO_ADDRESS: ("E-Mail-Adresse eintragen oder Zeile löschen", "fill in the address or delete the row"),
    RowProblem.BAD_ADDRESS: ("E-Mail-Adresse berichtigen", "mend the address"),
    RowProblem.TOO_MANY_CELLS: (
        "Werte, die das Trennzeichen enthalten, in Anführungszeichen setzen",
        "put values that hold the separator into quotation marks",
    ),
    RowProblem.CONTROL_CHARACTER: (
        "Zeilenumbruch oder unsichtbares Zeichen aus der Zelle entfernen",
        "remove the line break or invisible character from the cell",
    ),
    RowProblem.FORMULA: ("Formel durch ihren Text ersetzen", "replace the formula by its text"),
    RowProblem.MOJIBAKE: ("Datei neu als UTF-8 exportieren", "export the file anew as UTF-8"),
    RowProblem.TOO_LONG: ("Zelle auf 200 Zeichen kürzen", "shorten the cell to 200 characters"),
    RowProblem.UNREADABLE_NO: (
        "Adresse berichtigen oder Zeile löschen, Datei neu importieren; bis dahin belegt sie keine Einwilligung",
        "mend the address or delete the row and import the file again; until then it proves nobody's consent",
    ),
    RowProblem.DUPLICATE: (
        "nichts zu tun: die frühere Zeile wurde übernommen",
        "nothing to do: the earlier row was taken",
    ),
}

GERMAN_ADDRESS_REMEDIES = {
    BadAddressReason.EMPTY: "E-Mail-Adresse eintragen oder Zeile löschen",
    BadAddressReason.CONTROL_CHARACTER: "Adresse neu eintippen; sie enthält ein unsichtbares Zeichen",
    BadAddressReason.TOO_LONG: "Adresse auf 254 Zeichen kürzen, höchstens 64 vor dem @",
    BadAddressReason.NOT_ASCII_LOCAL: "Adresse ohne Umlaute vor dem @ erfragen",
    BadAddressReason.FORMULA: "Formel entfernen und die Adresse als Text eintragen",
    BadAddressReason.SYNTAX: "als name@firma.example schreiben",
    BadAddressReason.BAD_DOMAIN: "den Teil hinter dem @ berichtigen",
}


def remedies(code: str) -> tuple[str, str]:
    """Give the German and the English remedy of a row's code, such as formula or bad_address:syntax."""
    problem, _, reason = code.partition(":")
    if reason:
        kind = BadAddressReason(reason)
        return GERMAN_ADDRESS_REMEDIES[kind], REMEDIES[kind]
    return ROW_REMEDIES[RowProblem(problem)]


class NotMailable(StrEnum):
    """Why a taken row may not be written to. It becomes a lead at stage `unconfirmed`."""

    NO_EVIDENCE = "no_evidence"
    """The export carries no opt-in times at all."""
    NO_CONFIRMATION_TIME = "no_confirmation_time"
    """Signed up, but no time of a confirmation."""
    NO_SIGN_UP_TIME = "no_sign_up_time"
    """A confirmation time alone: exports write it for imported and single opt-in contacts as well."""
    SINGLE_OPT_IN = "single_opt_in"
    """Both times are the same, or the confirmation comes first: there was no second step."""
    NO_WORDING = "no_wording"
    """The text that was agreed to is not named (map key `consent`, option --consent-text)."""
    AMBIGUOUS_TIME = "ambiguous_time"
    """3/4/2025 is March or April, or the hour of the clock change; the map key `dates` tells the order."""
    UNREADABLE_TIME = "unreadable_time"
    """A time in no form we know."""
    FUTURE_TIME = "future_time"
    """Confirmed later than now."""
    NOT_AGREED = "not_agreed"
    """The column that says yes or no says no, or the status is not an active one."""
    UNKNOWN_STATUS = "unknown_status"
    """The status is a word we do not know: it may mean no."""
    UNREADABLE_NO = "unreadable_no"
    """Another row says no for an address that cannot be read; it may be this person's."""
    WITHDRAWN_BEFORE = "withdrawn_before"
    """This person withdrew here; only a new double opt-in can change that."""
