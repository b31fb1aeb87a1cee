"""Is every forged, replayed or malformed thing refused, and every genuine one understood?"""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from nurture.tracking.sendgrid_events import CURVE_ORDER, PoisonError, normalise, verify
from nurture.tracking.vocabulary import SENDGRID, EventKind

if TYPE_CHECKING:
    from pathlib import Path

KEY = ec.generate_private_key(ec.SECP256R1())
AT = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
BODY = b'[{"event":"open"}]\r\n'


def public(key: ec.EllipticCurvePrivateKey = KEY) -> str:
    return base64.b64encode(key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


def sign(body: bytes = BODY, at: datetime = AT, key: ec.EllipticCurvePrivateKey = KEY) -> tuple[str, str]:
    stamp = str(int(at.timestamp()))
    return base64.b64encode(key.sign(stamp.encode() + body, ec.ECDSA(SHA256()))).decode(), stamp


def test_the_published_vector_verifies(shared: Path) -> None:
    vector = json.loads((shared / "data/sendgrid/eventwebhook_signature_vector.json").read_text())
    signed = datetime.fromtimestamp(int(vector["timestamp"]), UTC)
    given = (vector["public_key_base64_der"], vector["signature_base64"], vector["timestamp"], vector["body"].encode())
    assert verify(*given, at=signed)
    assert not verify(*given, at=signed + timedelta(hours=26))


def test_a_genuine_body_verifies() -> None:
    assert verify(public(), *sign(), BODY, at=AT)


def test_a_body_that_is_no_text_verifies() -> None:
    body = b"\xff\xfe\x00"
    assert verify(public(), *sign(body), body, at=AT)


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        (timedelta(hours=25), True),
        (timedelta(hours=25, seconds=1), False),
        (-timedelta(minutes=5), True),
        (-timedelta(minutes=5, seconds=1), False),
    ],
)
def test_the_window_is_25_hours_back_and_5_minutes_ahead(age: timedelta, expected: bool) -> None:  # noqa: FBT001
    assert verify(public(), *sign(), BODY, at=AT + age) is expected


def test_without_a_key_nothing_verifies() -> None:
    assert not verify("", *sign(), BODY, at=AT)


def test_another_key_does_not_verify() -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    assert not verify(public(other), *sign(), BODY, at=AT)


def test_another_curve_does_not_verify() -> None:
    other = ec.generate_private_key(ec.SECP384R1())
    assert not verify(public(other), *sign(key=other), BODY, at=AT)


def test_a_changed_body_does_not_verify() -> None:
    assert not verify(public(), *sign(), BODY + b" ", at=AT)


def test_a_shifted_boundary_does_not_verify() -> None:
    signature, stamp = sign(b"1" + BODY)
    assert not verify(public(), signature, stamp + "1", BODY, at=AT)


SIGNATURE, STAMP = sign()


@pytest.mark.parametrize(
    "signature",
    [
        "",
        SIGNATURE + "!",
        SIGNATURE + "\n",
        " " + SIGNATURE,
        SIGNATURE[:10] + "*" + SIGNATURE[10:],
        SIGNATURE[:-8],
        "ü" + SIGNATURE,
        "not base64 at all",
        base64.b64encode(b"\x30\x00").decode(),
        base64.b64encode(base64.b64decode(SIGNATURE) + b"\x00").decode(),
        base64.b64encode(encode_dss_signature(1, CURVE_ORDER)).decode(),
    ],
    # Signatures differ with every run; processes that share the tests must agree on names.
    ids=["empty", "mark", "newline", "space", "star", "cut", "umlaut", "words", "no-numbers", "longer", "too-large"],
)
def test_a_malformed_signature_is_false_not_an_error(signature: str) -> None:
    assert not verify(public(), signature, STAMP, BODY, at=AT)


@pytest.mark.parametrize("stamp", ["", "0", STAMP + "0", " " + STAMP, STAMP + "\n", "١٧٦٠٠٠٠٠٠٠", "1e9", "-123456789"])
def test_a_malformed_timestamp_is_false_not_an_error(stamp: str) -> None:
    assert not verify(public(), SIGNATURE, stamp, BODY, at=AT)


@pytest.mark.parametrize("key", ["AAAA", "not base64", "MFkwEwYHKoZIzj0CAQ==", "ü"])
def test_a_malformed_key_is_false_not_an_error(key: str) -> None:
    assert not verify(key, SIGNATURE, STAMP, BODY, at=AT)


def test_a_mirrored_signature_stores_nothing_twice() -> None:
    """SendGrid signs with high and low s alike; the body's own hash keeps a mirrored copy out (intake)."""
    r, s = decode_dss_signature(base64.b64decode(SIGNATURE))
    mirrored = base64.b64encode(encode_dss_signature(r, CURVE_ORDER - s)).decode()
    assert verify(public(), mirrored, STAMP, BODY, at=AT)


def samples(shared: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((shared / "data/sendgrid/event_webhook.samples.json").read_text())
    return told


def test_every_valid_sample_is_understood(shared: Path) -> None:
    understood = [normalise(each).kind for each in samples(shared)["valid"]]
    assert understood == [
        "processed", "deferred", "delivered", "opened", "opened", "clicked", "bounced", "soft_bounced", "dropped",
        "dropped", "complained", "unsubscribed", "group_unsubscribed", "group_resubscribed", "processed",
        "account_changed", "unknown",
    ]  # fmt: skip


def test_every_invalid_sample_is_refused(shared: Path) -> None:
    accepted = []
    for each in samples(shared)["invalid"]:
        try:
            normalise(each["v"])
        except PoisonError:
            continue
        accepted.append(each["why"])
    assert accepted == []


def test_every_name_of_the_schema_is_translated(shared: Path) -> None:
    schema = json.loads((shared / "data/sendgrid/event_webhook.schema.json").read_text())
    assert set(schema["$defs"]["known_events"]["enum"]) <= set(SENDGRID)


def event(**more: Any) -> dict[str, Any]:
    told = {
        "email": "a@example.org", "timestamp": 1_760_000_000, "event": "open", "sg_event_id": "ev-1",
        "sg_message_id": "m-1", "nurture_message_id": "a" * 26,
    }  # fmt: skip
    return told | more


def test_keys_begin_with_the_time() -> None:
    assert normalise(event()).key == f"1760000000:{'a' * 26}:opened"


def test_keys_ignore_the_providers_event_id() -> None:
    assert normalise(event(sg_event_id="x")).key == normalise(event(sg_event_id="y")).key


def test_keys_tell_links_and_attempts_apart() -> None:
    def link(url: str, index: int) -> str:
        return normalise(event(event="click", url=url, url_offset={"index": index})).key

    def attempt(number: str) -> str:
        return normalise(event(event="deferred", response="x", attempt=number)).key

    assert len({link("https://a", 0), link("https://a", 1), link("https://b", 0), attempt("1"), attempt("2")}) == 5


def test_keys_hold_no_address() -> None:
    del (told := event(event="unsubscribe"))["nurture_message_id"]
    assert normalise(told).key == normalise(told | {"email": "b@example.org"}).key


def test_a_prefetch_and_an_open_may_share_a_second() -> None:
    assert normalise(event(sg_machine_open=True)).key != normalise(event()).key


def test_a_foreign_message_id_is_none_of_ours() -> None:
    assert normalise(event(nurture_message_id="x'; drop table")).message is None


@pytest.mark.parametrize("timestamp", [-1, 4_102_444_801, 10**18, 10**400, 1.5, True, None, "1760000000", float("nan")])
def test_no_timestamp_raises_anything_else(timestamp: object) -> None:
    with pytest.raises(PoisonError):
        normalise(event(timestamp=timestamp))


@pytest.mark.parametrize("value", [None, [], {}, 7, True, "x" * 10_000, "\x00"])
@pytest.mark.parametrize("name", sorted(event(url="", url_offset={}, category="", type="", reason="", attempt="")))
def test_no_field_raises_anything_else(name: str, value: object) -> None:
    for kind in SENDGRID:
        try:
            normalise(event(event=kind) | {name: value})
        except PoisonError as error:
            assert "example" not in str(error)  # noqa: PT017  the message must not repeat values


def test_reasons_of_bounces_are_not_kept() -> None:
    told = normalise(event(event="bounce", type="bounce", reason="550 a@example.org", status="5.1.1 a@example.org"))
    assert told.attributes == {"sg_event_id": "ev-1", "status": "", "class": "unclassified"}


@pytest.mark.requirement(18, 20, 50)
def test_the_vocabulary_names_every_kind() -> None:
    names = {"opened", "clicked", "replied", "page_visited", "downloaded", "social_engaged", "trial_started"}
    assert names | {"demo_requested", "price_requested"} <= set(EventKind)
