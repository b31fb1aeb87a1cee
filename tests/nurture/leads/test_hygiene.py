"""Are bad addresses refused, and are the others described? Offline, by a table."""

from __future__ import annotations

import pytest

from nurture.leads import hygiene
from nurture.leads.hygiene import BadAddress, BadAddressReason

COMMON_DACH = """
1und1.de a1.net alice-dsl.net aol.de aon.at arcor.de bluewin.ch chello.at email.de ewe.net ewetel.net freenet.de
gmail.com gmx.at gmx.ch gmx.de gmx.net googlemail.com hispeed.ch hotmail.de hotmail.com icloud.com inode.at
kabelmail.de live.de mail.de mailbox.org me.com netcologne.de o2online.de online.de osnanet.de outlook.com outlook.de
posteo.de proton.me sunrise.ch t-online.de tutanota.com unitybox.de versanet.de vodafone.de web.de yahoo.com yahoo.de
ymail.com
""".split()  # noqa: SIM905  a list of words reads better


def reason_of(raw: str) -> BadAddressReason:
    """Give why an address is refused."""
    with pytest.raises(BadAddress) as caught:
        hygiene.check(raw)
    assert raw.strip("\x00 ") == "" or raw not in str(caught.value)
    return caught.value.reason


@pytest.mark.requirement(119)
@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("", BadAddressReason.EMPTY),
        (" \t ", BadAddressReason.EMPTY),
        ("x" * 65 + "@firma.example", BadAddressReason.TOO_LONG),
        ("x@" + "a" * 250 + ".example", BadAddressReason.TOO_LONG),
        ("müller@firma.example", BadAddressReason.NOT_ASCII_LOCAL),
        ("\u0430dmin@firma.example", BadAddressReason.NOT_ASCII_LOCAL),
        ("a\u200bb@firma.example", BadAddressReason.CONTROL_CHARACTER),
        ("a\u202eb@firma.example", BadAddressReason.CONTROL_CHARACTER),
        ("a\r\nBcc: b@firma.example", BadAddressReason.CONTROL_CHARACTER),
        ("a\x00b@firma.example", BadAddressReason.CONTROL_CHARACTER),
        ("=cmd|calc@firma.example", BadAddressReason.FORMULA),
        ("@SUM(1)@firma.example", BadAddressReason.FORMULA),
        ("firma.example", BadAddressReason.SYNTAX),
        ("a@@firma.example", BadAddressReason.SYNTAX),
        ("a..b@firma.example", BadAddressReason.SYNTAX),
        (".a@firma.example", BadAddressReason.SYNTAX),
        ('"a b"@firma.example', BadAddressReason.SYNTAX),
        ("Vera <v@firma.example>", BadAddressReason.SYNTAX),
        ("a@localhost", BadAddressReason.BAD_DOMAIN),
        ("a@[192.0.2.1]", BadAddressReason.BAD_DOMAIN),
        ("a@-firma.example", BadAddressReason.BAD_DOMAIN),
        ("a@firma..example", BadAddressReason.BAD_DOMAIN),
        ("a@firma.example.", BadAddressReason.BAD_DOMAIN),
    ],
)
def test_it_refuses_bad_addresses(raw: str, reason: BadAddressReason) -> None:
    """Each kind of bad address has its own reason."""
    assert reason_of(raw) is reason


@pytest.mark.parametrize(
    ("raw", "delivery"),
    [
        ("Vera.Beispiel@FIRMA.example", "Vera.Beispiel@firma.example"),
        ("  v@firma.example\u00a0", "v@firma.example"),
        ("v@straße.example", "v@xn--strae-oqa.example"),
        ("v@MÜNCHEN.example", "v@xn--mnchen-3ya.example"),
        ("o'neil+tag@firma.test", "o'neil+tag@firma.test"),
    ],
)
def test_it_gives_the_delivery_form(raw: str, delivery: str) -> None:
    """The local part stays as typed, the domain becomes a lower-case A-label."""
    assert hygiene.check(raw) == delivery


def test_all_common_dach_freemailers_are_known() -> None:
    """The usual private providers of the German-speaking countries are all listed."""
    assert [domain for domain in COMMON_DACH if domain not in hygiene.freemail_domains()] == []
    assert len(COMMON_DACH) == 46


@pytest.mark.requirement(53)
def test_freemail_is_a_fact() -> None:
    """A private mailbox is told from a company's."""
    assert hygiene.facts("vera@web.de").freemail
    assert not hygiene.facts("vera@firma.example").freemail


@pytest.mark.requirement(119)
def test_disposable_is_a_fact() -> None:
    """A throw-away mailbox is known, also below the service's own domain."""
    assert hygiene.facts("x@mailinator.com").disposable
    assert hygiene.facts("x@sub.mailinator.com").disposable


@pytest.mark.parametrize("local", ["info", "Vertrieb", "vertrieb-sued", "sales.de", "office2", "no-reply", "no.reply"])
def test_it_knows_role_accounts(local: str) -> None:
    """A function is known in either language, with a place, a country or a number behind it."""
    assert hygiene.facts(f"{local}@firma.example").role_account


@pytest.mark.parametrize("local", ["vera.beispiel", "infante", "salesch", "v.info"])
def test_it_takes_no_person_for_a_role(local: str) -> None:
    """A name that begins or ends like a function is a person's."""
    assert not hygiene.facts(f"{local}@firma.example").role_account


@pytest.mark.parametrize(
    ("domain", "meant"),
    [
        ("gmial.com", "gmail.com"),
        ("gmail.con", "gmail.com"),
        ("web.ed", "web.de"),
        ("gxm.de", "gmx.de"),
        ("hotmial.de", "hotmail.de"),
        ("t-onlin.de", "t-online.de"),
        ("outlok.com", "outlook.com"),
    ],
)
def test_it_suggests_what_was_meant(domain: str, meant: str) -> None:
    """One slip of the fingers leads to the well-known domain."""
    assert hygiene.facts(f"v@{domain}").typo_of == meant


@pytest.mark.parametrize(
    "domain", ["gms.de", "gmx.com", "firma.example", "gmail.com", "webb.de", "mail.de", "ymail.com"]
)
def test_it_suggests_nothing_for_good_domains(domain: str) -> None:
    """A real domain near a well-known one is left alone."""
    assert hygiene.facts(f"v@{domain}").typo_of is None
