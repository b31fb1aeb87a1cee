"""Short cuts of the import: none may let through what the long way refuses, or read it otherwise."""

from __future__ import annotations

import pytest
from email_validator import validate_email
from hypothesis import given
from hypothesis import strategies as st

from nurture.leads import hygiene
from nurture.leads.importing import rows, values

CELLS = st.lists(st.sampled_from([*"aZ0 =+-@ß.\t\n\x00\x7f\u00a0\u200b\uff1d", "Ã¼", "x" * 199]), max_size=8).map(
    "".join
)
LOCALS = st.text(st.sampled_from([*"aZ09._%+-'&!#$*/=?^`{|}~\"(),:;<>[]\\ \t"]), min_size=1, max_size=12)


@given(CELLS | st.text(max_size=12))
def test_ready_cells_are_clean_and_sound(cell: str) -> None:
    """What is taken at once would not be changed by cleaning, and nothing speaks against it."""
    if values.is_ready(cell):
        assert values.clean(cell) == cell
        assert rows.problem_of(cell) is None


@given(LOCALS)
def test_plain_local_parts_pass_the_library(local: str) -> None:
    """The common shape before the @ is only ever one that the library for addresses accepts."""
    # A real domain, since the library knows .example as reserved; nobody is asked.
    try:
        delivery = hygiene.check(f"{local}@gmx.de")
    except hygiene.BadAddress:
        return
    assert validate_email(delivery, check_deliverability=False, strict=True, allow_smtputf8=False).original == delivery


@pytest.mark.parametrize("local", ["info", "v.info", "Sales+2", "x_y-z", "no-reply7"])
def test_facts_kept_for_many_are_each_ones_own(local: str) -> None:
    """Addresses of which the same is true share one object; another domain does not get its facts."""
    firm, private = hygiene.facts(f"{local}@firma.example"), hygiene.facts(f"{local}@gmx.de")
    assert (firm.freemail, private.freemail) == (False, True)
    assert firm.role_account == private.role_account == hygiene.is_role(local)
    assert private.named[0] == "freemail"
