"""A mail as it arrived: both headers of one-click unsubscribing, and a signature that covers them (R44 to R47)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from typer.testing import CliRunner

from nurture.cli.main import build
from nurture.delivery import arrived
from nurture.delivery.dkim import Signer

if TYPE_CHECKING:
    from pathlib import Path

HEADERS = {
    "From": "Firma <post@firma.example>",
    "To": "kim@kunde.example",
    "Subject": "Hallo",
    "List-Unsubscribe": "<https://mail.firma.example/u/abc>, <mailto:weg@firma.example>",
    "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
}
ALL = "from:to:subject:list-unsubscribe:list-unsubscribe-post"


def raw(signature: str | None = f"v=1; d=firma.example; h={ALL}; b=x", **changed: str | None) -> bytes:
    """A mail with these headers; None leaves one out, an underscore stands for the dash."""
    headers: dict[str, str | None] = {"DKIM-Signature": signature, **HEADERS}
    headers |= {name.replace("_", "-"): value for name, value in changed.items()}
    lines = [f"{name}: {value}" for name, value in headers.items() if value is not None]
    return "\r\n".join([*lines, "", "Hallo\r\n"]).encode()


@pytest.mark.parametrize(
    "signature",
    [
        f"v=1; d=firma.example; h={ALL}; b=x",
        f"v=1; d=FIRMA.example; h={ALL.upper()}; b=x",
        f"v=1; d=news.firma.example;\r\n h=from:list-\r\n unsubscribe:\r\n\t{ALL};\r\n b=x",
    ],
)
def test_a_mail_as_it_must_be_has_no_findings(signature: str) -> None:
    """However the signature is spelt and folded."""
    assert arrived.findings(raw(signature)) == []


def test_a_second_signature_may_be_the_providers_own() -> None:
    """That of its domain covers nothing of ours; ours does."""
    first = b"DKIM-Signature: v=1; d=provider.example; h=from:to; b=x\r\n"

    assert arrived.findings(first + raw()) == []


@pytest.mark.parametrize(
    ("domain", "address"),
    [
        ("firma.co.uk", "a@firma.co.uk"),
        ("firma.co.uk", "a@news.firma.co.uk"),
        ("firma.de", "a@news.firma.de"),
        ("co.example", "a@news.co.example"),
    ],
)
def test_a_domain_speaks_for_what_stands_under_it(domain: str, address: str) -> None:
    """Where it is somebody's own, also under a country's second level."""
    assert arrived.findings(raw(f"v=1; d={domain}; h={ALL}; b=x", From=address)) == []


def test_a_signature_of_a_part_may_stand_beside_one_of_the_whole() -> None:
    """The whole mail is signed all the same."""
    partial = f"DKIM-Signature: v=1; d=firma.example; l=0; h={ALL}; b=x\r\n".encode()

    assert arrived.findings(partial + raw()) == []


def test_our_own_signature_covers_both() -> None:
    """R45, on what `nurture` writes itself."""
    key = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    line = Signer(domain="firma.example", selector="n", key=key)(HEADERS, b"Hallo\r\n")

    assert arrived.findings(line.encode() + raw(None)) == []


@pytest.mark.parametrize(
    ("mail", "said"),
    [
        (raw(List_Unsubscribe=None), "List-Unsubscribe stands there 0 times"),
        (b"List-Unsubscribe: <https://b.example/>\r\n" + raw(), "List-Unsubscribe stands there 2 times"),
        (raw(List_Unsubscribe="<mailto:weg@firma.example>"), "exactly one address that begins with https://"),
        (raw(List_Unsubscribe="<http://firma.example/u>"), "exactly one address that begins with https://"),
        (raw(List_Unsubscribe="<https://a.example/>, <https://b.example/>"), "exactly one address"),
        (raw(List_Unsubscribe=f"<https://a.example/{'x' * 1000}>"), "longer than 998 octets"),
        (raw(List_Unsubscribe_Post=None), "List-Unsubscribe-Post must stand there once"),
        (raw(List_Unsubscribe_Post="List-Unsubscribe=Yes"), "List-Unsubscribe-Post must stand there once"),
        (raw(None), "no DKIM signature speaks for firma.example"),
        (raw(f"v=1; d=provider.example; h={ALL}; b=x"), "no DKIM signature speaks for firma.example"),
        (raw(f"v=1; d=example; h={ALL}; b=x"), "no DKIM signature speaks for firma.example"),
        (raw(f"v=1; d=otherfirma.example; h={ALL}; b=x"), "no DKIM signature speaks for firma.example"),
        (raw(f"v=1; d=co.uk; h={ALL}; b=x", From="a@firma.co.uk"), "no DKIM signature speaks for firma.co.uk"),
        (raw(f"v=1; d=COM.br; h={ALL}; b=x", From="a@firma.com.br"), "no DKIM signature speaks for firma.com.br"),
        (raw(f"v=1; d=firma.example; l=0; h={ALL}; b=x"), "covers only the beginning of the body"),
        (raw(f"v=1; l=5000; d=firma.example; h={ALL}; b=x"), "covers only the beginning of the body"),
        (raw("nonsense"), "no DKIM signature speaks for firma.example"),
        (raw("v=1; d=firma.example; h=from:list-unsubscribe; b=x"), "does not cover list-unsubscribe-post:"),
        (raw("v=1; d=firma.example; h=from; b=x"), "does not cover list-unsubscribe and list-unsubscribe-post:"),
        (raw(From="a@firma.example, b@firma.example"), "From names not one sender"),
        (b"", "From names not one sender"),
    ],
)
def test_what_is_missing_is_said(mail: bytes, said: str) -> None:
    """Each by itself."""
    assert any(said in one for one in arrived.findings(mail))


def test_the_command_ends_with_4_on_findings(tmp_path: Path) -> None:
    """In words and as JSON, from a file and from stdin; a file that is not there is an error."""
    good, bad = tmp_path / "good.eml", tmp_path / "bad.eml"
    good.write_bytes(raw())
    bad.write_bytes(raw(None))
    runner, app = CliRunner(), build()

    fine = runner.invoke(app, ["check-headers", str(good)])
    assert (fine.exit_code, "as RFC 8058 asks" in fine.output) == (0, True)
    told = runner.invoke(app, ["check-headers", "--json", "-"], input=bad.read_bytes())
    assert told.exit_code == 4
    assert json.loads(told.stdout) == {"findings": ["no DKIM signature speaks for firma.example"]}
    assert runner.invoke(app, ["check-headers", str(tmp_path / "none.eml")]).exit_code == 1
