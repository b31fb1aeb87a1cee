"""Signed notes: C2SP's own example verifies, and nothing but what was signed."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from consent import notes
from consent.notes import NoteError, UnknownKeyError, Verifier

# The note and key that golang.org/x/mod/sumdb/note documents, whose format C2SP signed-note took over.
PUBLISHED = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
PUBLISHED_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
# The example at the head of C2SP's signed-note.md; its page gives no key, so only its form is read.
SPECIFIED = (
    "Ognuno sta solo sul cuor della terra\n"
    "trafitto da un raggio di sole:\n"
    "\n"
    "ed è subito sera.\n"
    "\n"
    "— quasimodo.example/salvatore "
    "NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n"
)
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
NAME = "musterwerk.example/consent"
TEXT = "eins\n\nzwei\n"
NOTE = notes.sign(TEXT, NAME, KEY)
OURS = notes.verifier(NAME, KEY)


def test_the_published_note_verifies() -> None:
    """Key, key id, text and signature as others made them."""
    text = notes.open_note(PUBLISHED, [Verifier.parse(PUBLISHED_KEY)])

    assert text.endswith("then you don't know what your problem is.\n")


def test_the_published_key_signs_the_published_note() -> None:
    """Ed25519 is deterministic: with the private key that was published, too, the note comes out byte for byte."""
    # The seed within PRIVATE+KEY+PeterNeumann+c74f20a3+... of the same documentation.
    seed = base64.b64decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")[1:]
    text = PUBLISHED.rpartition("\n\n")[0] + "\n"

    assert notes.sign(text, "PeterNeumann", Ed25519PrivateKey.from_private_bytes(seed)) == PUBLISHED


def test_the_specified_note_has_a_known_form() -> None:
    """Empty lines inside the text, an em dash, an unknown key."""
    with pytest.raises(UnknownKeyError):
        notes.open_note(SPECIFIED, [OURS])


def test_a_note_reads_back() -> None:
    """The text includes its last newline, not the empty line."""
    assert notes.open_note(NOTE, [OURS]) == TEXT


def test_a_key_is_one_line() -> None:
    """Name, id and base64; read back it is the same key."""
    assert Verifier.parse(str(OURS)) == OURS
    assert Verifier.parse(f"{PUBLISHED_KEY}\n").key_id.hex() == "c74f20a3"


@given(st.data())
def test_any_flipped_bit_is_refused(chance: st.DataObject) -> None:
    """No changed byte of a note passes."""
    raw = bytearray(NOTE.encode())
    place = chance.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= 1 << chance.draw(st.integers(0, 7))
    try:
        changed = raw.decode()
    except UnicodeDecodeError:
        return

    with pytest.raises(NoteError):
        notes.open_note(changed, [OURS])


def test_a_second_signature_does_no_harm() -> None:
    """A witness's line under an unknown key is passed over; either key opens the note."""
    other = Ed25519PrivateKey.from_private_bytes(bytes(32))
    theirs = notes.sign(TEXT, "witness.example", other)
    both = NOTE + theirs.removeprefix(f"{TEXT}\n")

    assert notes.open_note(both, [OURS]) == TEXT
    assert notes.open_note(both, [notes.verifier("witness.example", other)]) == TEXT


def test_a_bad_signature_of_a_known_key_spoils_the_note() -> None:
    """Even beside a good one."""
    forged = notes.sign("drei\n", NAME, KEY).removeprefix("drei\n\n")

    with pytest.raises(NoteError, match="does not hold"):
        notes.open_note(NOTE + forged, [OURS])


UNFIT = [
    "",
    "no signature\n",
    "no newline at the end\n\n— a bc",
    f"{TEXT}\n",
    f"{TEXT}\n- {NAME} AAAAAAAA\n",
    f"{TEXT}\n— {NAME} A\n",
    f"{TEXT}\n— {NAME} AAAA\n",
    f"{TEXT}\n— {NAME} AAAAAAB=\n",
    f"{TEXT}\n— a+b AAAAAAAA\n",
    f"{TEXT}\n— {NAME}\n",
    "tab\there\n\n— a AAAAAAAA\n",
    f"{TEXT}\n" + f"— {NAME} AAAAAAAA\n" * 101,
    "x" * 1_000_001,
]


@pytest.mark.parametrize("note", UNFIT)
def test_malformed_notes_are_refused(note: str) -> None:
    """Each with an error of ours."""
    with pytest.raises(NoteError):
        notes.open_note(note, [OURS])


@pytest.mark.parametrize(
    "key",
    [
        "",
        "a+b",
        f"{PUBLISHED_KEY[:-1]}X",
        PUBLISHED_KEY.replace("c74f20a3", "c74f20a4"),
        PUBLISHED_KEY.replace("+AR", "+Ah"),
        f"with space{PUBLISHED_KEY}",
        PUBLISHED_KEY[:-4],
    ],
)
def test_mistyped_keys_are_refused(key: str) -> None:
    """A cut, mistyped or foreign key."""
    with pytest.raises(NoteError):
        Verifier.parse(key)


@pytest.mark.parametrize(("text", "name"), [("no newline", NAME), (TEXT, "a b"), (TEXT, "a+b"), (TEXT, "")])
def test_what_cannot_be_a_note_is_not_signed(text: str, name: str) -> None:
    """A text without its newline, a name that could not be read back."""
    with pytest.raises(NoteError):
        notes.sign(text, name, KEY)
