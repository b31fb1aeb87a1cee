"""Does a job title tell who decides?"""

from __future__ import annotations

import pytest

from nurture.leads.roles import Role, role_of


@pytest.mark.requirement(48)
@pytest.mark.parametrize(
    ("title", "role"),
    [
        ("Geschäftsführerin", Role.DECIDER),
        ("Leiter Instandhaltung", Role.DECIDER),
        ("Werksleiter:in", Role.DECIDER),
        ("Head of Maintenance", Role.DECIDER),
        ("COO", Role.DECIDER),
        ("Assistenz der Geschäftsführung", Role.USER),
        ("Teamleiter Service", Role.INFLUENCER),
        ("Projektingenieurin", Role.INFLUENCER),
        ("Servicetechniker", Role.USER),
        ("Werkstudent", Role.USER),
        ("Philosoph", Role.UNKNOWN),
        ("", Role.UNKNOWN),
    ],
)
def test_a_title_has_a_class(title: str, role: Role) -> None:
    """German and English titles are classed by who decides, and an unreadable one is unknown."""
    assert role_of(title) is role
