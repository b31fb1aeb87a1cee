"""The machine room: everything behind flows and tasks."""


class NurtureError(Exception):
    """Something a person can mend; the message says what, where and how, and names no personal data."""
