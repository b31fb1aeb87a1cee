"""Keys on disk, sealed values in their place, tokens nobody forges (T21)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consent import sealing, tokens
from consent.keys import NAMES, Keyring, KeyringError

if TYPE_CHECKING:
    from pathlib import Path

SAME = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def test_keys_are_made_once(tmp_path: Path) -> None:
    """The second start reads what the first one made."""
    first = Keyring.load_or_create(tmp_path / "keys.json")

    assert Keyring.load_or_create(tmp_path / "keys.json") == first


def test_racing_starts_share_keys(tmp_path: Path) -> None:
    """Twenty processes at once end with one keyring and no draft left behind."""
    with ThreadPoolExecutor(20) as pool:
        made = list(pool.map(lambda _: Keyring.load_or_create(tmp_path / "keys.json"), range(20)))

    assert len({one.keys["master"][1] for one in made}) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["keys.json"]


def test_second_store_keeps_first_keys(tmp_path: Path) -> None:
    """A key file is never replaced: its data would be lost."""
    first = Keyring.load_or_create(tmp_path / "keys.json")

    Keyring().store(tmp_path / "keys.json")

    assert Keyring.load_or_create(tmp_path / "keys.json") == first


def test_key_file_is_private(tmp_path: Path) -> None:
    """Mode 0600 whatever the umask; a file others may read is refused."""
    path = tmp_path / "keys.json"
    old = os.umask(0)
    try:
        Keyring.load_or_create(path)
    finally:
        os.umask(old)

    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o640)
    with pytest.raises(KeyringError, match="chmod 600"):
        Keyring.load_or_create(path)


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"keys": {"master": "AA=="}, "index_version": 1}', '{"keys": []}']
)
def test_damaged_key_file_is_refused(tmp_path: Path, content: str) -> None:
    """Damage never leads to fresh keys: they would orphan all data."""
    path = tmp_path / "keys.json"
    path.write_text(content)
    path.chmod(0o600)

    with pytest.raises(KeyringError):
        Keyring.load_or_create(path)


def test_short_key_is_refused(tmp_path: Path) -> None:
    """A truncated key is no key."""
    path = tmp_path / "keys.json"
    Keyring.load_or_create(path)
    held = json.loads(path.read_text())
    held["keys"]["link"]["1"] = held["keys"]["link"]["1"][:8]
    path.write_text(json.dumps(held))

    with pytest.raises(KeyringError, match="link"):
        Keyring.load_or_create(path)


def test_a_file_from_before_versions_is_read(tmp_path: Path) -> None:
    """Keys made before any could be rotated are version 1; the next rotation writes the new form."""
    path = tmp_path / "keys.json"
    made = Keyring()
    old = {name: base64.b64encode(versions[1]).decode() for name, versions in made.keys.items()}
    path.write_text(json.dumps({"keys": old, "index_version": 1}))
    path.chmod(0o600)

    assert Keyring.load_or_create(path) == made
    made.with_successor("link").replace(path)
    assert sorted(Keyring.load_or_create(path).keys["link"]) == [1, 2]


@pytest.mark.parametrize("version", ["0", "x", "-1"])
def test_a_version_that_is_none_is_refused(tmp_path: Path, version: str) -> None:
    """Versions count from one."""
    path = tmp_path / "keys.json"
    Keyring.load_or_create(path)
    held = json.loads(path.read_text())
    held["keys"]["link"] = {version: held["keys"]["link"]["1"]}
    path.write_text(json.dumps(held))

    with pytest.raises(KeyringError):
        Keyring.load_or_create(path)


def test_a_file_from_before_versions_says_which_look_up_key_it_holds(tmp_path: Path) -> None:
    """Its rows in the database carry that number; every other key was the first."""
    path = tmp_path / "keys.json"
    made = Keyring()
    old = {name: base64.b64encode(versions[1]).decode() for name, versions in made.keys.items()}
    path.write_text(json.dumps({"keys": old, "index_version": 7}))
    path.chmod(0o600)

    held = Keyring.load_or_create(path).keys
    assert {name: list(versions) for name, versions in held.items() if list(versions) != [1]} == {"index": [7]}


def test_the_file_is_what_its_format_says(tmp_path: Path) -> None:
    """Format 2: of each key its versions, each as base64 of 32 bytes; other programs and backups read it."""
    path = tmp_path / "keys.json"
    keyring = Keyring().with_successor("index")
    keyring.store(path)
    held = json.loads(path.read_text("utf-8"))

    assert held == {
        "format": 2,
        "keys": {
            name: {str(version): base64.b64encode(key).decode() for version, key in versions.items()}
            for name, versions in keyring.keys.items()
        },
    }


def test_a_key_with_a_stray_character_is_refused(tmp_path: Path) -> None:
    """Reading on past it would be a guess."""
    path = tmp_path / "keys.json"
    Keyring.load_or_create(path)
    held = json.loads(path.read_text())
    held["keys"]["link"]["1"] = "!" + held["keys"]["link"]["1"]
    path.write_text(json.dumps(held))

    with pytest.raises(KeyringError, match="holds no keyring"):
        Keyring.load_or_create(path)


KNOWN = Keyring({name: {1: bytes([number]) * 32} for number, name in enumerate(NAMES, 1)})


def test_what_the_database_holds_is_found_by_every_later_version() -> None:
    """HMAC-SHA-256 of use, zero byte and value: another spelling would lose everybody, and every link that is out."""

    def by_hand(key: int, text: bytes) -> bytes:
        return hmac.digest(bytes([key]) * 32, text, "sha256")

    assert KNOWN.address_index("a@b.example") == by_hand(2, b"address\x00a@b.example")
    assert KNOWN.abuse_index("a@b.example") == by_hand(2, b"abuse\x00a@b.example")
    assert KNOWN.count_indexes("network", "192.0.2.0/24") == [by_hand(2, b"network\x00192.0.2.0/24")]
    assert KNOWN.mac("click", b"x") == by_hand(3, b"click\x00x")[:16]
    assert KNOWN.fingerprints()["master/1"] == by_hand(1, b"fingerprint\x00master")[:8].hex()
    assert tokens.fingerprint("x") == hashlib.sha256(b"x").digest()


def test_the_newest_version_writes_and_the_former_ones_follow() -> None:
    """Look-up keys and links: what is made now comes first, what is out there is still found."""
    newer = KNOWN.with_successor("index").with_successor("link").with_successor("index")

    assert (newer.index_version, newer.master_version) == (3, 1)
    indexes = newer.count_indexes("address", "a@b.example")
    assert newer.address_index("a@b.example") == indexes[0]
    assert newer.former_address_indexes("a@b.example") == indexes[1:]
    assert len(set(indexes)) == 3
    assert indexes[-1] == KNOWN.address_index("a@b.example")
    assert newer.abuse_index("a@b.example") == newer.count_indexes("abuse", "a@b.example")[0]
    assert newer.macs("click", b"x") == [newer.mac("click", b"x"), KNOWN.mac("click", b"x")]
    assert newer.mac("click", b"x") != KNOWN.mac("click", b"x")


def test_keys_do_not_print(keyring: Keyring) -> None:
    """A keyring in a traceback shows no key."""
    assert repr(keyring) == "Keyring()"


def test_purposes_have_their_own_macs(keyring: Keyring) -> None:
    """The same data under another purpose, or another use of the key, is another value."""
    made = {keyring.mac("click", b"x"), keyring.mac("open", b"x"), keyring.mac("clic", b"kx")}

    assert len(made) == 3
    assert keyring.address_index("a@b.example") != keyring.abuse_index("a@b.example")


def test_inbox_seals_and_opens(keyring: Keyring) -> None:
    """What the inbox sealed opens in its place only."""
    sealed = keyring.seal(b"body", aad=b"raw_event|sealed_body|1")

    assert keyring.open(sealed, aad=b"raw_event|sealed_body|1") == b"body"
    with pytest.raises(sealing.SealError):
        keyring.open(sealed, aad=b"raw_event|sealed_body|2")


def test_sealing_twice_differs() -> None:
    """Equal values are not seen to be equal."""
    key = sealing.new_key()

    assert sealing.seal(key, b"x", aad=b"") != sealing.seal(key, b"x", aad=b"")


@given(st.binary(max_size=40), st.data())
def test_changed_bytes_do_not_open(plaintext: bytes, data: st.DataObject) -> None:
    """Any changed or missing byte is noticed."""
    key = sealing.new_key()
    sealed = sealing.seal(key, plaintext, aad=b"place")
    at = data.draw(st.integers(0, len(sealed) - 1))

    changed = sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :]

    for broken in (changed, sealed[:at]):
        with pytest.raises(sealing.SealError):
            sealing.unseal(key, broken, aad=b"place")
    assert sealing.unseal(key, sealed, aad=b"place") == plaintext


@SAME
@given(st.sampled_from(["click", "open", "unsubscribe", "preferences", "handover"]))
def test_tokens_read_back(keyring: Keyring, purpose: str) -> None:
    """A token names its id, for its purpose."""
    public_id = tokens.random_id()

    assert tokens.read(keyring, purpose, tokens.issue(keyring, purpose, public_id)) == public_id


@SAME
@given(st.data())
def test_t21_any_other_token_is_refused(keyring: Keyring, data: st.DataObject) -> None:
    """T21: any other character anywhere, any cut, any case, is no token: no alternate spelling verifies."""
    token = tokens.issue(keyring, "click", "a" * tokens.ID_LENGTH)
    at = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.characters().filter(lambda c: c != token[at]))

    for spoilt in (token[:at] + other + token[at + 1 :], token[:at], token + other, token.upper()):
        assert tokens.read(keyring, "click", spoilt) is None


def test_t21_token_is_bound_to_purpose_and_keys(keyring: Keyring) -> None:
    """T21: a click token neither unsubscribes nor works at another installation."""
    token = tokens.issue(keyring, "click", tokens.random_id())

    assert tokens.read(keyring, "unsubscribe", token) is None
    assert tokens.read(Keyring(), "click", token) is None


def test_ids_are_128_random_bits() -> None:
    """26 characters that need no escaping anywhere; never the same twice."""
    made = {tokens.random_id() for _ in range(1000)}

    assert len(made) == 1000
    assert {len(one) for one in made} == {tokens.ID_LENGTH}
    assert set("".join(made)) <= set("abcdefghijklmnopqrstuvwxyz234567")


def test_thousands_of_ids_are_as_random_as_one() -> None:
    """Each is 128 bits as `random_id` spells them: every place takes every letter it can, and none comes twice."""
    made = tokens.random_ids(4000)

    assert len(set(made)) == len(made) == 4000
    assert {len(one) for one in made} == {tokens.ID_LENGTH}
    assert {len(base64.b32decode(one.upper() + "======")) for one in made} == {16}
    assert [len(set(place)) for place in zip(*made, strict=True)] == [32] * 25 + [8]
    # What a spelling with other unused bits would decode to is no second id.
    assert all(base64.b32encode(base64.b32decode(one.upper() + "======"))[:26].decode().lower() == one for one in made)


def test_the_tokens_of_a_mail_are_those_of_their_purposes(keyring: Keyring) -> None:
    """In the order of `IN_MAILS`, and each reads back for its own purpose alone."""
    public_id = tokens.random_id()
    said, *macs = tokens.parts_for_mail(keyring, public_id)
    made = {purpose: said + mac for purpose, mac in zip(tokens.IN_MAILS, macs, strict=True)}

    assert made == {purpose: tokens.issue(keyring, purpose, public_id) for purpose in tokens.IN_MAILS}
    for purpose, token in made.items():
        read = {other: tokens.read(keyring, other, token) for other in tokens.IN_MAILS}
        assert read == {other: public_id if other == purpose else None for other in tokens.IN_MAILS}


def test_links_that_are_out_are_read_by_every_later_version() -> None:
    """R43: an unsubscribe link never expires, so neither label nor place of its MAC may ever change."""
    link, public_id = bytes([NAMES.index("link") + 1]) * 32, "a" * tokens.ID_LENGTH
    mail_key = hmac.digest(link, b"tokens of mails", "sha512")
    mac = hashlib.blake2b(public_id.encode(), key=mail_key, digest_size=64).hexdigest()
    confirm = base64.b32encode(hmac.digest(link, b"token:confirm\x00" + public_id.encode(), "sha256")[:16]).decode()

    assert tokens.issue(KNOWN, "unsubscribe", public_id) == public_id + mac[64:96]
    assert tokens.issue(KNOWN, "confirm", public_id) == public_id + confirm.rstrip("=").lower()


@pytest.mark.parametrize(("purpose", "length"), [("confirm", 52), ("click", 58)])
def test_a_token_names_something_and_has_one_length(keyring: Keyring, purpose: str, length: int) -> None:
    """26 characters of id and the whole MAC, whatever they end in; one that names nothing is none."""
    made = [tokens.issue(keyring, purpose, tokens.random_id()) for _ in range(200)]

    assert {len(token) for token in made} == {length}
    assert tokens.read(keyring, purpose, tokens.issue(keyring, purpose, "")) is None


def test_any_text_has_a_fingerprint() -> None:
    """Also half a character, which an attacker may send."""
    assert len(tokens.fingerprint("\ud800")) == 32
