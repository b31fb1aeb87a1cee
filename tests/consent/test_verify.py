"""The stand-alone verifier: whatever was changed, left out, added or rolled back in an export is found and named."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import select

from consent import canonical, checkpoints, export, ledger, notes, texts, verify
from consent.checkpoints import Signer
from consent.entries import LONGEST_LEAF, write
from consent.ledger import Entry
from consent.merkle import Growth
from consent.schema import proof_vault
from consent.treeheads import TreeHead
from consent.verify import Failed, Outcome

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from tests.consent.people import People

ORIGIN = "musterwerk.example/consent"


class Exporter:
    """Somebody with the database at hand, who hands out exports."""

    def __init__(self, people: People, folder: Path) -> None:
        """Work on one ledger, with one key."""
        self.people = people
        self.folder = folder
        self.signer = Signer.load_or_create(folder / "checkpoint_key.json", ORIGIN)
        self.made = 0

    @property
    def key(self) -> str:
        """What the auditor was given."""
        return str(self.signer.verifier)

    def sign(self) -> str:
        """Sign what stands; give the note."""
        with self.people.store.write() as conn:
            return checkpoints.sign(conn, self.signer, at=self.people.at).note

    def fill(self, count: int) -> None:
        """Append entries about nobody."""
        entry = Entry("suppression.added", {"controller": "*", "reason": "import", "count": 1}, self.people.at)
        with self.people.store.write() as conn:
            ledger.append(conn, [entry] * count)

    def export(self, *proofs: int) -> Path:
        """Write a folder with proofs of some entries."""
        self.made += 1
        parcel = export.Parcel.begin(self.folder / f"export{self.made}")
        with self.people.store.read() as conn:
            newest = checkpoints.latest(conn)
            assert newest is not None
            export.write_entries(parcel, export.leaves(conn, newest.size), lambda _leaf: None)
            export.write_checkpoints(parcel, conn, newest.size, self.key)
            export.write_wordings(parcel, conn)
            for seq in proofs:
                export.write_proof(parcel, seq, checkpoints.tlog_proof(conn, seq), self._disclosed(conn, seq))
        parcel.close(self.signer, size=newest.size, root=newest.root.hex())
        return parcel.folder

    def forge(self, leaves: list[bytes]) -> Path:
        """Write and sign a tree over any lines at all, as only who holds the key can."""
        self.made += 1
        parcel = export.Parcel.begin(self.folder / f"export{self.made}")
        root = export.write_entries(parcel, leaves, lambda _leaf: None)
        note = notes.sign(str(TreeHead(ORIGIN, len(leaves), root)), ORIGIN, self.signer.private)
        parcel.write(f"checkpoints/{len(leaves)}.txt", note.encode())
        parcel.write("public_key.txt", self.key.encode())
        parcel.close(self.signer, size=len(leaves), root=root.hex())
        return parcel.folder

    def _disclosed(self, conn: Connection, seq: int) -> dict[str, Any]:
        leaf = ledger.leaf(conn, seq)
        salt = conn.execute(select(proof_vault.c.salt).where(proof_vault.c.seq == seq)).scalar_one_or_none()
        shown: dict[str, Any] = {"leaf": leaf.decode()}
        named = {item["text"] for item in canonical.decode(leaf)["body"].get("purposes", []) if isinstance(item, dict)}
        shown["wordings"] = [str(one["body"]) for one in texts.overview(conn) if one["sha256"] in named]
        if salt is not None:
            from consent import vault  # noqa: PLC0415  only here

            shown |= {"salt": salt.hex(), "evidence": vault.evidence(conn, self.people.keyring, seq)}
        return shown


@pytest.fixture
def exporter(people: People, tmp_path: Path) -> Exporter:
    """One person signed up, confirmed, was mailed, left."""
    subject = people.confirmed()
    people.ask(subject)
    people.leave(subject)
    return Exporter(people, tmp_path)


def outcome(folder: Path, **given: str) -> tuple[Outcome, int | None]:
    """What does the verifier say, and which entry does it name?"""
    try:
        verify.verify(folder, **given)
    except Failed as found:
        return found.outcome, found.entry
    return Outcome.OK, None


def test_an_export_verifies(exporter: Exporter) -> None:
    """Every figure of the report."""
    exporter.sign()
    exporter.fill(700)
    exporter.sign()

    report = verify.verify(exporter.export(0, 1, 500), key=exporter.key)

    with exporter.people.store.read() as conn:
        root = ledger.head(conn).root_hex
    assert report == verify.Report(ORIGIN, 704, root, checkpoints=2, older=None, authorisations=1, proofs=3)


@pytest.mark.parametrize("more", [0, 1, 252, 253, 600])
def test_an_export_continues_an_older_checkpoint(exporter: Exporter, more: int) -> None:
    """What the auditor kept from before is shown to be the beginning of this."""
    old = exporter.sign()
    exporter.fill(more)
    exporter.sign()

    assert verify.verify(exporter.export(), key=exporter.key, older=old).older == 4


def files(folder: Path) -> list[Path]:
    """Every file of an export."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_t65_any_changed_byte_is_found(exporter: Exporter) -> None:
    """T65: each single byte of each file of a small export, changed by one bit: never accepted.

    In entries, tiles, proofs and checkpoints it is told as tampering, and the entry is named.
    """
    exporter.sign()
    folder = exporter.export(0, 1)
    chance = random.Random(65)  # noqa: S311  a seed, to repeat a failure
    assert outcome(folder) == (Outcome.OK, None)
    for path in files(folder):
        good = path.read_bytes()
        name = path.relative_to(folder).as_posix()
        for place in range(len(good)):
            changed = bytes([good[place] ^ 1 << chance.randrange(8)])
            path.write_bytes(good[:place] + changed + good[place + 1 :])
            found, entry = outcome(folder)
            assert found is not Outcome.OK, f"{name} byte {place}"
            if name.startswith(("entries", "tile", "checkpoints", "proofs")):
                assert found is Outcome.TAMPERED, f"{name} byte {place}"
                assert entry is not None, f"{name} byte {place}"
        path.write_bytes(good)
    assert outcome(folder) == (Outcome.OK, None)


def test_t65_sampled_bytes_of_a_large_export_are_found(exporter: Exporter) -> None:
    """T65: 1,500 entries with tiles of two levels; in entries and tiles the right entry is named."""
    exporter.fill(1500)
    exporter.sign()
    folder = exporter.export(5)
    chance = random.Random(66)  # noqa: S311  a seed, to repeat a failure
    starts = [0]
    for line in (folder / "entries.jsonl").read_bytes().splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    for _ in range(50):
        path = chance.choice(files(folder))
        good = path.read_bytes()
        place = chance.randrange(len(good))
        path.write_bytes(good[:place] + bytes([good[place] ^ 1 << chance.randrange(8)]) + good[place + 1 :])
        found, entry = outcome(folder)
        assert found is not Outcome.OK
        if path.name == "entries.jsonl":
            expected = next(number for number, start in enumerate(starts[1:]) if place < start)
            # A line break that is gone joins two entries; one that is new cuts one: either way it begins here.
            assert (found, entry) == (Outcome.TAMPERED, expected)
        if path.parts[-3:-1] == ("tile", "0") or path.parts[-4:-2] == ("tile", "0"):
            index = int(path.parent.stem) if path.parent.name.endswith(".p") else int(path.stem)
            assert (found, entry) == (Outcome.TAMPERED, index * 256 + place // 32)
        path.write_bytes(good)


def rewrite(folder: Path, change: Any, exporter: Exporter) -> None:
    """Change the list of entries, and put the manifest right: who forges an export with the key at hand does that."""
    lines = (folder / "entries.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "entries.jsonl").write_bytes(b"".join(change(lines)))
    mend(folder, exporter)


def mend(folder: Path, exporter: Exporter) -> None:
    """Make the manifest fit the files, and sign it."""
    manifest = json.loads((folder / "manifest.json").read_text())
    there = {one.relative_to(folder).as_posix() for one in files(folder)} - {"manifest.json", "manifest.note"}
    parcel = export.Parcel(folder)
    for name in there:
        parcel.add(name)
    about = {name: value for name, value in manifest.items() if name not in {"files", "format", "origin"}}
    parcel.close(exporter.signer, **about)


FORGERIES: list[tuple[str, Any, int]] = [
    ("an entry left out", lambda lines: lines[:2] + lines[3:], 2),
    ("the last entry left out", lambda lines: lines[:-1], 303),
    ("an entry twice", lambda lines: [*lines[:3], lines[2], *lines[3:]], 3),
    ("two entries swapped", lambda lines: [lines[0], lines[2], lines[1], *lines[3:]], 1),
    ("an entry added at the end", lambda lines: [*lines, lines[-1]], 304),
    ("an empty line", lambda lines: [*lines[:7], b"\n", *lines[7:]], 7),
    ("a line of 1 MB", lambda lines: [*lines[:7], b"x" * 1_000_000 + b"\n", *lines[7:]], 7),
]


@pytest.mark.parametrize(("what", "change", "entry"), FORGERIES)
def test_t65_rearranged_entries_are_named(exporter: Exporter, what: str, change: Any, entry: int) -> None:
    """T65: deleted, inserted, swapped, also where the manifest was put right."""
    exporter.fill(300)
    exporter.sign()
    folder = exporter.export()
    rewrite(folder, change, exporter)

    assert outcome(folder) == (Outcome.TAMPERED, entry), what


def test_a_rollback_is_found_by_the_older_checkpoint(exporter: Exporter) -> None:
    """An export of an earlier state holds in itself; who kept a later checkpoint sees what is gone."""
    exporter.sign()
    early = exporter.export()
    exporter.fill(3)
    late = exporter.sign()

    assert outcome(early) == (Outcome.OK, None)
    assert outcome(early, older=late) == (Outcome.TAMPERED, 4)


def test_two_histories_are_told(exporter: Exporter, people: People, tmp_path: Path) -> None:
    """The same key signed another ledger of the same length: one of the two is a lie."""
    exporter.sign()
    folder = exporter.export()
    forged = folder.parent / "forged"
    shutil.copytree(folder, forged)
    growth = Growth()
    growth.add([bytes(32)] * 4)
    other = TreeHead(ORIGIN, 4, growth.root())
    note = notes.sign(str(other), ORIGIN, exporter.signer.private)

    assert outcome(folder, older=note) == (Outcome.TAMPERED, None)


def test_a_history_that_departs_before_an_older_checkpoint_is_told(exporter: Exporter) -> None:
    """The entries up to the older checkpoint are not those that it signed."""
    exporter.fill(10)
    exporter.sign()
    folder = exporter.export()
    other = TreeHead(ORIGIN, 7, bytes(32))
    note = notes.sign(str(other), ORIGIN, exporter.signer.private)

    assert outcome(folder, older=note) == (Outcome.TAMPERED, 6)


SPELT: list[tuple[str, Any]] = [
    ("line ends of a mail", lambda note: note.replace("\n", "\r\n")),
    ("a byte order mark", lambda note: "\ufeff" + note),
    ("blank lines at the end", lambda note: note + "\n\n"),
    ("no newline at the end", lambda note: note.rstrip("\n")),
    ("blanks at line ends", lambda note: note.replace("\n", "  \n")),
]


@pytest.mark.parametrize(("what", "spell"), SPELT)
def test_a_checkpoint_from_a_mail_is_read(exporter: Exporter, what: str, spell: Any) -> None:
    """What mail programs and editors do to a text changes nothing that was signed."""
    old = exporter.sign()
    exporter.fill(1)
    exporter.sign()

    assert verify.verify(exporter.export(), key=exporter.key, older=spell(old)).older == 4, what


@pytest.mark.parametrize("name", ["entries.jsonl", "tile/0/000.p/4", "public_key.txt"])
def test_a_folder_in_place_of_a_file_is_incomplete(exporter: Exporter, name: str) -> None:
    """Whatever the disk holds there, it is told and not thrown."""
    exporter.sign()
    folder = exporter.export()
    (folder / name).unlink()
    (folder / name).mkdir()

    assert outcome(folder)[0] is Outcome.INCOMPLETE


def test_a_giant_file_is_not_read(exporter: Exporter) -> None:
    """A sparse file of terabytes costs its author nothing; it must cost the auditor nothing either."""
    exporter.sign()
    folder = exporter.export()
    with (folder / "public_key.txt").open("r+b") as file:
        file.truncate(1 << 40)

    assert outcome(folder) == (Outcome.TAMPERED, None)


def test_every_missing_file_is_incomplete(exporter: Exporter) -> None:
    """Exit 2, whichever it is."""
    exporter.fill(300)
    exporter.sign()
    folder = exporter.export(1)
    for path in files(folder):
        kept = path.read_bytes()
        path.unlink()
        assert outcome(folder)[0] is Outcome.INCOMPLETE, path
        path.write_bytes(kept)


@pytest.mark.parametrize("gone", ["tile/0/000", "checkpoints/304.txt"])
def test_a_file_left_out_of_the_manifest_too_is_missed(exporter: Exporter, gone: str) -> None:
    """The layout of the tree says which tiles there are; without a checkpoint nothing is proven."""
    exporter.fill(300)
    exporter.sign()
    folder = exporter.export()
    (folder / gone).unlink()
    mend(folder, exporter)

    assert outcome(folder)[0] is Outcome.INCOMPLETE


@pytest.mark.parametrize("name", ["note.txt", "proofs/7.txt", "consent/__pycache__/rules.cpython-311.pyc"])
def test_a_surplus_file_is_told(exporter: Exporter, name: str) -> None:
    """Nothing is smuggled in, least of all compiled code that would run in place of the verifier's source."""
    exporter.sign()
    folder = exporter.export()
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(b"x")

    assert outcome(folder)[0] is Outcome.TAMPERED


def test_the_book_is_signed_too(exporter: Exporter) -> None:
    """Whoever has the export and not the key can change no file of it, not with the manifest put right either."""
    exporter.sign()
    folder = exporter.export()
    signature = (folder / "manifest.note").read_bytes()
    wording = next((folder / "wordings").iterdir())
    wording.unlink()
    mend(folder, exporter)
    (folder / "manifest.note").write_bytes(signature)
    assert outcome(folder)[0] is Outcome.TAMPERED
    stranger = Ed25519PrivateKey.generate()
    text = verify.manifest_text(ORIGIN, (folder / "manifest.json").read_bytes())
    (folder / "manifest.note").write_text(notes.sign(text, ORIGIN, stranger), "utf-8")
    assert outcome(folder)[0] is Outcome.KEY_UNKNOWN


@pytest.mark.parametrize("about", [{"size": 5}, {"root": "00" * 32}, {"origin": "else.example/consent"}])
def test_a_manifest_speaks_of_its_own_ledger(exporter: Exporter, about: dict[str, Any]) -> None:
    """Also one that was signed must say the size, root and name that the entries give."""
    exporter.sign()
    folder = exporter.export()
    data = json.dumps(json.loads((folder / "manifest.json").read_text()) | about).encode()
    (folder / "manifest.json").write_bytes(data)
    note = notes.sign(verify.manifest_text(ORIGIN, data), ORIGIN, exporter.signer.private)
    (folder / "manifest.note").write_text(note, "utf-8")

    assert outcome(folder) == (Outcome.TAMPERED, None)


def test_what_this_run_compiled_is_swept(
    exporter: Exporter, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Python compiles the package's first file before the verifier can forbid it; what is older stays and is told."""
    exporter.sign()
    folder = exporter.export()
    cache = folder / "consent" / "__pycache__"
    monkeypatch.setattr(verify, "__file__", str(folder / "consent" / "verify.py"))
    cache.mkdir(parents=True)
    (cache / "__init__.cpython-311.pyc").write_bytes(b"x")
    assert verify.main([str(folder)]) == 0
    assert not cache.exists()
    cache.mkdir()
    (cache / "__init__.cpython-311.pyc").write_bytes(b"x")
    monkeypatch.setattr(verify, "JUST_SECONDS", -60.0)
    assert verify.main([str(folder)]) == 1
    assert "__init__.cpython-311.pyc" in capsys.readouterr().out


def test_a_checkpoint_is_no_signature_of_a_manifest(exporter: Exporter) -> None:
    """The same key signs both; one never passes for the other."""
    note = exporter.sign()
    folder = exporter.export()
    signature = (folder / "manifest.note").read_text("utf-8")
    (folder / "manifest.note").write_text(note, "utf-8")
    assert outcome(folder)[0] is Outcome.TAMPERED
    (folder / "manifest.note").write_text(signature, "utf-8")
    assert outcome(folder, older=signature)[0] is Outcome.TAMPERED


def test_another_key_is_unknown(exporter: Exporter, tmp_path: Path) -> None:
    """Exit 3: the auditor's key did not sign this, nor can a mistyped one."""
    exporter.sign()
    folder = exporter.export()
    other = Signer.load_or_create(tmp_path / "other.json", ORIGIN)

    assert outcome(folder, key=str(other.verifier))[0] is Outcome.KEY_UNKNOWN
    assert outcome(folder, key="mistyped")[0] is Outcome.KEY_UNKNOWN


def test_an_export_of_another_ledger_is_told(exporter: Exporter, tmp_path: Path) -> None:
    """A checkpoint that names another origin than its key."""
    exporter.sign()
    folder = exporter.export()
    head = TreeHead("else.example/consent", 4, bytes(32))
    (folder / "checkpoints" / "4.txt").write_text(notes.sign(str(head), ORIGIN, exporter.signer.private), "utf-8")

    assert outcome(folder)[0] is Outcome.TAMPERED


def test_a_mail_without_consent_is_named(exporter: Exporter, people: People) -> None:
    """An authorisation after the withdrawal: the ledger is whole, and says what was done."""
    with people.store.read() as conn:
        [sent] = ledger.read(conn, types=["send.authorised"])
    with people.store.write() as conn:
        ledger.append(conn, [Entry(sent.type, sent.body, people.at)])
    exporter.sign()

    assert outcome(exporter.export()) == (Outcome.TAMPERED, 4)


@pytest.mark.parametrize(("words", "found"), [("Musterwerk", Outcome.OK), ("Waschmaschinen", Outcome.TAMPERED)])
def test_a_wording_must_name_the_scope_of_a_mail(people: People, tmp_path: Path, words: str, found: Outcome) -> None:
    """T43: what a permit says it covers is looked up in the wording whose hash the consent entry holds."""
    subject = people.confirmed()
    people.ask(subject)
    with people.store.write() as conn:
        [sent] = ledger.read(conn, types=["send.authorised"])
        body = {**sent.body, "scope": {"name": "line", "words": [words]}}
        ledger.append(conn, [Entry(sent.type, body, people.at)])
    exporter = Exporter(people, tmp_path)
    exporter.sign()

    assert outcome(exporter.export())[0] is found


def test_a_changed_wording_is_told(exporter: Exporter) -> None:
    """Also with the manifest put right: its name is its hash."""
    exporter.sign()
    folder = exporter.export()
    for path in (folder / "wordings").iterdir():
        path.write_bytes(path.read_bytes() + b" und zu allem anderen")
    mend(folder, exporter)

    assert outcome(folder)[0] is Outcome.TAMPERED


NO_ENTRIES = [
    b'{"v": 1}',
    b'{"at":"2026-11-23T08:00:00.000000Z","body":{"reason":"x"},"seq":4,"subject":null,"type":"subject.sold","v":1}',
    b'{"at":"2026-11-23T08:00:00.000000Z","body":{"reason":"x"},"seq":9,"subject":null,"type":"subject.erased","v":1}',
    b'{"at":"2026-11-23T08:00:00.000000Z","body":{"reason":"x"},"seq":4,"subject":null,"type":"subject.erased","v":2}',
    b'{"at":"2026-11-23T08:00:00Z","body":{"reason":"x"},"seq":4,"subject":null,"type":"subject.erased","v":1}',
    b'{"at":"2026-11-23T08:00:00.000000Z","body":{"reason":"a@b"},"seq":4,"subject":null,"type":"subject.erased","v":1}',
    b'{"at":"2026-11-23T08:00:00.000000Z","body":{"reason":"x"}, "seq":4,"subject":null,"type":"subject.erased","v":1}',
    b"[" * 9_000,
    b'{"at":"0001-01-01T00:00:00.000000+01:00","body":{"reason":"x"},"seq":4,"subject":null,"type":"x","v":1}',
    b'{"at":7,"body":{"reason":"x"},"seq":4,"subject":null,"type":"subject.erased","v":1}',
    (
        b'{"at":"2026-11-23T08:00:00.000000Z","body":{"channel":"email","controller":"default","lease_until":"x",'
        b'"permits":[[1]],"purpose":"p"},"seq":4,"subject":null,"type":"send.authorised","v":1}'
    ),
    (
        b'{"at":"2026-11-23T08:00:00.000000Z","body":{"channel":7,"commit":[],"controller":[],"expires":"x",'
        b'"language":{},"purposes":7,"source":1},"seq":4,"subject":"s","type":"consent.requested","v":1}'
    ),
]


@pytest.mark.parametrize("line", NO_ENTRIES)
def test_what_could_never_be_appended_is_named(exporter: Exporter, line: bytes) -> None:
    """An operator who holds the key signs whatever tree they like; an entry must still be one."""
    exporter.sign()
    leaves = (exporter.export() / "entries.jsonl").read_bytes().splitlines()

    assert outcome(exporter.forge([*leaves, line])) == (Outcome.TAMPERED, 4)


def test_a_checkpoint_under_another_name_is_named(exporter: Exporter) -> None:
    """The file says how many entries it covers."""
    exporter.sign()
    folder = exporter.export()
    (folder / "checkpoints" / "4.txt").rename(folder / "checkpoints" / "3.txt")
    mend(folder, exporter)

    assert outcome(folder) == (Outcome.TAMPERED, 3)


@pytest.mark.parametrize("change", [lambda data: data[:-1], lambda data: data + bytes(32), lambda _data: b""])
def test_a_tile_of_another_length_is_named(exporter: Exporter, change: Any) -> None:
    """Cut, longer, empty; also with the manifest put right."""
    exporter.fill(300)
    exporter.sign()
    folder = exporter.export()
    tile = folder / "tile" / "0" / "001.p" / "48"
    tile.write_bytes(change(tile.read_bytes()))
    mend(folder, exporter)

    assert outcome(folder) == (Outcome.TAMPERED, 256)


def test_a_proof_needs_its_checkpoint(exporter: Exporter) -> None:
    """Against a checkpoint that the export does not hold it proves nothing here."""
    exporter.sign()
    early = exporter.export(1)
    exporter.fill(1)
    exporter.sign()
    folder = exporter.export(1)
    shutil.copy(early / "proofs" / "1.tlog-proof", folder / "proofs" / "1.tlog-proof")
    (folder / "checkpoints" / "4.txt").unlink()
    mend(folder, exporter)

    assert outcome(folder) == (Outcome.TAMPERED, 1)


def test_a_proof_may_disclose_nothing(exporter: Exporter) -> None:
    """An entry can be proven without its wording and evidence, or with the wording alone."""
    exporter.sign()
    folder = exporter.export(0, 1)
    (folder / "proofs" / "0.json").unlink()
    shown = json.loads((folder / "proofs" / "1.json").read_text())
    (folder / "proofs" / "1.json").write_text(json.dumps({"leaf": shown["leaf"]}))
    mend(folder, exporter)

    assert outcome(folder) == (Outcome.OK, None)


SPOILT: list[tuple[str, Any]] = [
    ("leaf", "{}"),
    ("wordings", ["Ja zu allem"]),
    ("evidence", {"ip": "192.0.2.99"}),
    ("salt", "00" * 32),
    ("salt", "no hex"),
    ("salt", None),
    ("evidence", None),
    ("seq", 0),
    ("name", "Kim Weber"),
]
"""None: the member is left out."""


@pytest.mark.parametrize(("name", "value"), SPOILT)
def test_a_forged_disclosure_is_named(exporter: Exporter, name: str, value: Any) -> None:
    """Wording and evidence that are not what the entry committed to, also with the manifest put right."""
    exporter.sign()
    folder = exporter.export(1)
    shown = json.loads((folder / "proofs" / "1.json").read_text())
    changed = {key: one for key, one in (shown | {name: value}).items() if one is not None}
    (folder / "proofs" / "1.json").write_text(json.dumps(changed))
    mend(folder, exporter)

    assert outcome(folder) == (Outcome.TAMPERED, 1)


def test_a_member_told_twice_is_refused(exporter: Exporter) -> None:
    """Two readers of the same file would see two wordings."""
    exporter.sign()
    folder = exporter.export(1)
    shown = (folder / "proofs" / "1.json").read_text()
    (folder / "proofs" / "1.json").write_text(shown.replace("{", '{"wordings": ["Ja zu allem"],', 1))
    mend(folder, exporter)

    assert outcome(folder) == (Outcome.TAMPERED, 1)


def test_a_disclosure_needs_its_proof(exporter: Exporter) -> None:
    """Without the tlog-proof nothing would be checked of it."""
    exporter.sign()
    folder = exporter.export(1)
    (folder / "proofs" / "1.tlog-proof").unlink()
    mend(folder, exporter)

    assert outcome(folder) == (Outcome.INCOMPLETE, 1)


def test_a_proof_of_another_entry_is_named(exporter: Exporter) -> None:
    """A good proof under another name, and one against a checkpoint that was never exported."""
    exporter.sign()
    folder = exporter.export(0, 1)
    shutil.copy(folder / "proofs" / "0.tlog-proof", folder / "proofs" / "2.tlog-proof")
    mend(folder, exporter)
    assert outcome(folder) == (Outcome.TAMPERED, 2)
    (folder / "proofs" / "2.tlog-proof").rename(folder / "proofs" / "no-number.tlog-proof")
    mend(folder, exporter)
    assert outcome(folder)[0] is Outcome.TAMPERED


@pytest.mark.parametrize("name", ["01.json", "1.tlog-proof.json", "\u0661.json", "01.tlog-proof", "1.txt", "1"])
def test_a_second_name_hides_no_disclosure(exporter: Exporter, name: str) -> None:
    """Else a forged wording could lie beside the true one, signed, and nobody would have looked into it."""
    exporter.sign()
    folder = exporter.export(1)
    forged = {"leaf": "{}", "wordings": ["Ja zu allem"]}
    (folder / "proofs" / name).write_text(json.dumps(forged))
    mend(folder, exporter)

    assert outcome(folder)[0] is Outcome.TAMPERED


@pytest.mark.parametrize("name", ["04", "\u0664", "none", ""])
def test_a_checkpoint_has_one_name(exporter: Exporter, name: str) -> None:
    """Its number of entries, spelt as we spell it."""
    exporter.sign()
    folder = exporter.export()
    shutil.copy(folder / "checkpoints" / "4.txt", folder / "checkpoints" / f"{name}.txt")
    mend(folder, exporter)

    assert outcome(folder)[0] is Outcome.TAMPERED


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file that is there and cannot be read")
@pytest.mark.parametrize("name", ["entries.jsonl", "checkpoints/4.txt", "proofs/1.json", "tile/0/000.p/4"])
def test_a_file_that_cannot_be_read_is_incomplete(exporter: Exporter, name: str) -> None:
    """A bad disk, a missing right: said in words, never a traceback."""
    exporter.sign()
    folder = exporter.export(1)
    (folder / name).unlink()
    (folder / name).symlink_to("/proc/self/mem")

    assert outcome(folder)[0] is not Outcome.OK


def test_a_name_too_long_for_this_disk_is_incomplete(exporter: Exporter) -> None:
    """Whoever wrote the manifest."""
    exporter.sign()
    folder = exporter.export()
    (folder / "manifest.json").write_text(json.dumps({"files": {"x" * 5_000: "00"}}))

    assert outcome(folder) == (Outcome.INCOMPLETE, None)


def test_a_manifest_names_each_member_once(exporter: Exporter) -> None:
    """Two readers of the same manifest would see two lists of files."""
    exporter.sign()
    folder = exporter.export()
    text = (folder / "manifest.json").read_text("utf-8").replace('"files"', '"files": {}, "files"')
    (folder / "manifest.json").write_text(text, "utf-8")
    signed = notes.sign(verify.manifest_text(ORIGIN, text.encode()), ORIGIN, exporter.signer.private)
    (folder / "manifest.note").write_text(signed, "utf-8")

    assert outcome(folder) == (Outcome.TAMPERED, None)


def test_no_export_writes_the_verdict_itself(exporter: Exporter, capsys: pytest.CaptureFixture[str]) -> None:
    """A name that would clear the auditor's line and print another one is spelt out."""
    exporter.sign()
    folder = exporter.export()
    name = "\x1b[2K\rx\nOK: 4 entries of musterwerk.example/consent\n\x9b"
    (folder / "manifest.json").write_text(json.dumps({"files": {name: "00"}}))

    assert verify.main([str(folder)]) == 2
    told = capsys.readouterr().out
    assert told.startswith("INCOMPLETE: \\x1b[2K\\rx\\nOK: 4 entries")
    assert told.count("\n") == 1
    assert "\x9b" not in told


def test_a_manifest_cannot_name_files_outside(exporter: Exporter) -> None:
    """It is no way to read the auditor's other files."""
    exporter.sign()
    folder = exporter.export()
    for name in ("../checkpoint_key.json", "/etc/passwd"):
        text = json.dumps({"files": {name: "00"}})
        (folder / "manifest.json").write_text(text)
        assert outcome(folder)[0] is Outcome.TAMPERED


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"files": 7}', "[" * 100_000, '{"files": {"7": 7}}'])
def test_a_spoilt_manifest_is_told(exporter: Exporter, text: str) -> None:
    """Whatever it is."""
    exporter.sign()
    folder = exporter.export()
    (folder / "manifest.json").write_text(text)

    assert outcome(folder)[0] is not Outcome.OK


def test_the_command_tells_what_it_found(
    exporter: Exporter, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Exit codes 0, 1, 2, 3 and 64; in words, and as JSON."""
    old = tmp_path / "old.txt"
    old.write_text(exporter.sign(), "utf-8")
    exporter.fill(1)
    exporter.sign()
    folder = str(exporter.export())
    (tmp_path / "key.txt").write_text(exporter.key)

    assert verify.main([folder, "--checkpoint", str(old), "--key", str(tmp_path / "key.txt")]) == 0
    assert "continues your checkpoint of 4 entries" in capsys.readouterr().out
    assert verify.main([folder]) == 0
    assert "compare it with the one you were given" in capsys.readouterr().out
    assert verify.main([folder, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["outcome"] == "ok"
    assert verify.main([folder, "--key", "x"]) == 3
    assert verify.main([folder, "--key", "x" * 5_000]) == 3
    assert "KEY UNKNOWN" in capsys.readouterr().out
    assert verify.main([str(tmp_path / "nothing")]) == 2
    assert "INCOMPLETE: manifest.json: it is missing or cannot be read" in capsys.readouterr().out
    (exporter.folder / "export1" / "public_key.txt").write_text("spoilt")
    assert verify.main([folder, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["outcome"] == "tampered"
    (tmp_path / "key.txt").write_bytes(b"\xff")
    (tmp_path / "cut.txt").write_text("musterwerk.example/consent\n4\n")
    for wrong in (
        ["--checkpoint", str(tmp_path / "none"), folder],
        ["--checkpoint", str(tmp_path / "cut.txt"), folder],
        ["--key", str(tmp_path / "key.txt"), folder],
        [],
    ):
        with pytest.raises(SystemExit) as left:
            verify.main(wrong)
        assert left.value.code == 64


def test_the_longest_entry_is_read(exporter: Exporter) -> None:
    """A leaf of exactly 16 KiB; one byte more could not be appended."""
    short = len(write(4, Entry("subject.erased", {"reason": ""}, exporter.people.at)))
    entry = Entry("subject.erased", {"reason": "x" * (LONGEST_LEAF - short)}, exporter.people.at)
    with exporter.people.store.write() as conn:
        ledger.append(conn, [entry])
    exporter.sign()

    assert outcome(exporter.export()) == (Outcome.OK, None)


def test_tiles_of_upper_levels_are_compared(exporter: Exporter) -> None:
    """65,600 entries: a full tile at level 1 and the beginning of level 2; a changed hash names what it begins."""
    entry = Entry("subject.erased", {"reason": "x"}, exporter.people.at)
    folder = exporter.forge([write(seq, entry) for seq in range(65_600)])
    assert outcome(folder) == (Outcome.OK, None)
    for name, place, first in (("tile/1/000", 3, 768), ("tile/1/000", 255, 65_280), ("tile/2/000.p/1", 0, 0)):
        good = (folder / name).read_bytes()
        bad = good[: place * 32] + bytes(32) + good[place * 32 + 32 :]
        (folder / name).write_bytes(bad)
        mend(folder, exporter)
        assert outcome(folder) == (Outcome.TAMPERED, first), name
        (folder / name).write_bytes(good)
