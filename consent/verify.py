"""Is this export of a consent ledger whole and unchanged, and did no mail leave without consent?

    python -m consent.verify DIR [--checkpoint OLD] [--key KEY] [--json]

Needs the folder and nothing else: no database, no network, of Python's packages only `cryptography`. Exit codes:
0 all holds, 1 something was changed or sent without consent (the message names the entry), 2 something is missing
or cannot be read, 3 no known key signed, 64 wrong usage.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import hmac
import json
import os
import sys
import tempfile
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

# Compiled files beside the sources would be files that nobody exported.
sys.dont_write_bytecode = __name__ == "__main__" or sys.dont_write_bytecode

from consent import ConsentError, canonical, entries, merkle, notes, rules
from consent.layout import path, split
from consent.merkle import HASH_BYTES, TILE_HEIGHT, TILE_WIDTH, Growth, leaf_hash
from consent.notes import Verifier
from consent.treeheads import FormatError, Proof, TreeHead

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MANIFEST = "manifest.json"
ENTRIES = "entries.jsonl"
KEY = "public_key.txt"
CHECKPOINTS = "checkpoints"
PROOFS = "proofs"
WORDINGS = "wordings"
SIGNATURE = "manifest.note"
DISCLOSED = frozenset({"seq", "leaf", "wordings", "salt", "evidence"})
"""What may stand beside a proof; nothing that its entry does not vouch for."""
LONGEST_FILE = 64 << 20
"""Bytes of a file that is read whole."""
MALFORMED = (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, RecursionError)
"""What reading hostile JSON can raise beside errors of our own."""
USAGE = 64
JUST_SECONDS = 10.0
"""How long ago Python may have compiled the package's first file for this very run."""


class Outcome(IntEnum):
    """What the verifier exits with."""

    OK = 0
    """All holds."""
    TAMPERED = 1
    """Something is not as it was written, or a mail was authorised without consent."""
    INCOMPLETE = 2
    """A file that belongs to the export is missing."""
    KEY_UNKNOWN = 3
    """No key that is known here signed a checkpoint."""


class Failed(Exception):  # noqa: N818  not an error of ours: a finding
    """The export does not hold."""

    def __init__(self, outcome: Outcome, message: str, entry: int | None = None) -> None:
        """Say what, and at which entry."""
        super().__init__(message)
        self.outcome = outcome
        self.entry = entry


@dataclass(frozen=True)
class Report:
    """What an export that holds shows."""

    origin: str
    size: int
    """Entries."""
    root: str
    """Hexadecimal."""
    checkpoints: int
    older: int | None
    """Entries of the older checkpoint that the export was shown to continue; None where none was given."""
    authorisations: int
    """Mails that were permitted, each on a living consent."""
    proofs: int


@dataclass
class _Check:
    """One run of the verifier over a folder."""

    folder: Path
    key: Verifier
    manifest: dict[str, str]
    heads: dict[int, bytes] = field(default_factory=dict)
    """Root by number of entries, of every checkpoint and the older one."""
    wanted: set[int] = field(default_factory=set)
    """Entries that proofs are about."""
    leaves: dict[int, bytes] = field(default_factory=dict)
    tile: list[bytes] = field(default_factory=list)
    """The tile of level 0 that the entries are just being compared with."""


def verify(folder: Path, *, key: str | None = None, older: str | None = None) -> Report:
    """Check an export; raises Failed with what does not hold.

    key: the verifier key handed over by another way; without it the export's own is believed, and the checkpoints
    then prove nothing about who signed them. older: text of an earlier checkpoint that the auditor kept.
    """
    try:
        return _verified(folder, key, older)
    except OSError as error:
        raise Failed(Outcome.INCOMPLETE, f"{error.filename or folder}: it cannot be read") from None


def _verified(folder: Path, key: str | None, older: str | None) -> Report:
    manifest, listed = _manifest(folder)
    check = _Check(folder, _key(folder, key), listed)
    checkpoints = _checkpoints(check)
    kept = _older(check, older, max(checkpoints))
    check.wanted = {seq for seq, _ in _proof_files(folder)}
    growth, replay = _entries(check, max(checkpoints))
    proofs = _proofs(check)
    _hashes(folder, listed)
    _signed_manifest(check)
    told = {"size": growth.size, "root": growth.root().hex(), "origin": check.key.name}
    for name, value in told.items():
        if manifest.get(name) != value:
            raise Failed(Outcome.TAMPERED, f"{MANIFEST}: its {name} is not the ledger's")
    if replay.breaches:
        first = replay.listed[0]
        raise Failed(
            Outcome.TAMPERED,
            f"entry {first.seq}: message {first.message_id} was authorised, but {first.fault} "
            f"({replay.breaches} such in all)",
            first.seq,
        )
    return Report(
        origin=check.key.name,
        size=growth.size,
        root=growth.root().hex(),
        checkpoints=len(checkpoints),
        older=kept,
        authorisations=replay.authorisations,
        proofs=proofs,
    )


# --- what there is ---------------------------------------------------------------------------


def _manifest(folder: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Give the manifest and its {file: SHA-256}, and find that every file is there."""
    text = _read(folder, MANIFEST)
    try:
        manifest = json.loads(text, object_pairs_hook=_once)
        files = dict(manifest["files"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise Failed(Outcome.TAMPERED, f"{MANIFEST}: it is no manifest") from None
    for name in (ENTRIES, KEY, *files):
        if not _inside(folder, name).is_file():
            raise Failed(Outcome.INCOMPLETE, f"{name}: it is missing")
    return manifest, files


def _inside(folder: Path, name: str) -> Path:
    """Give a file of the export; a name that leads out of it is refused."""
    if not isinstance(name, str) or name.startswith("/") or ".." in name.split("/"):
        raise Failed(Outcome.TAMPERED, f"{MANIFEST}: it names a file outside of the export")
    return folder / name


def _read(folder: Path, name: str, entry: int | None = None) -> str:
    try:
        if (folder / name).stat().st_size > LONGEST_FILE:
            raise Failed(Outcome.TAMPERED, f"{name}: it is longer than any export makes it", entry)
        return (folder / name).read_bytes().decode("utf-8")
    except OSError:
        raise Failed(Outcome.INCOMPLETE, f"{name}: it is missing or cannot be read", entry) from None
    except UnicodeDecodeError:
        raise Failed(Outcome.TAMPERED, f"{name}: it is no UTF-8", entry) from None


def _hashes(folder: Path, manifest: dict[str, str]) -> None:
    """Hold every file against the manifest, also those that nothing else looks at; no file may be there beside."""
    for name, wanted in sorted(manifest.items()):
        if _sha256(folder / name) != wanted:
            where, _, number = name.partition(".")[0].partition("/")
            entry = int(number) if where in {PROOFS, CHECKPOINTS} and number.isdecimal() else None
            raise Failed(Outcome.TAMPERED, f"{name}: it is not the file that was exported", entry)
    present = {one.relative_to(folder).as_posix() for one in folder.rglob("*") if one.is_file()}
    surplus = sorted(present - {MANIFEST, SIGNATURE, *manifest})
    if surplus:
        # Compiled code runs in place of the source beside it, whatever that says.
        remedy = "; delete the folder __pycache__ and run python -B" if "__pycache__" in surplus[0] else ""
        raise Failed(Outcome.TAMPERED, f"{surplus[0]}: it does not belong to the export{remedy}")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# --- who signed ------------------------------------------------------------------------------


def _key(folder: Path, given: str | None) -> Verifier:
    text = given if given is not None else _read(folder, KEY)
    try:
        return Verifier.parse(text)
    except notes.NoteError as error:
        if given is not None:
            raise Failed(Outcome.KEY_UNKNOWN, f"the key given: {error}") from None
        raise Failed(Outcome.TAMPERED, f"{KEY}: {error}") from None


def _opened(check: _Check, note: str, name: str, entry: int | None = None) -> TreeHead:
    """Give what a checkpoint says, if our key signed it."""
    try:
        head = TreeHead.parse(notes.open_note(note, [check.key]))
    except notes.UnknownKeyError:
        problem = f"{name}: it was not signed by {check.key.name} with the known key"
        # A changed signature line looks like somebody else's.
        changed = name in check.manifest and _sha256(check.folder / name) != check.manifest[name]
        raise Failed(Outcome.TAMPERED if changed else Outcome.KEY_UNKNOWN, problem, entry) from None
    except (notes.NoteError, FormatError) as error:
        raise Failed(Outcome.TAMPERED, f"{name}: {error}", entry) from None
    if head.origin != check.key.name:
        raise Failed(Outcome.TAMPERED, f"{name}: it is of another ledger", entry)
    return head


def manifest_text(origin: str, manifest: bytes) -> str:
    """Give what is signed of a manifest; no checkpoint can be mistaken for it, nor it for one."""
    return f"nurture-ledger-export/1\n{origin}\n{hashlib.sha256(manifest).hexdigest()}\n"


def _signed_manifest(check: _Check) -> None:
    """Hold the manifest, and by it every file, against the signature."""
    try:
        text = notes.open_note(_read(check.folder, SIGNATURE), [check.key])
    except notes.UnknownKeyError:
        raise Failed(Outcome.KEY_UNKNOWN, f"{SIGNATURE}: it was not signed with the known key") from None
    except notes.NoteError as error:
        raise Failed(Outcome.TAMPERED, f"{SIGNATURE}: {error}") from None
    if text != manifest_text(check.key.name, (check.folder / MANIFEST).read_bytes()):
        raise Failed(Outcome.TAMPERED, f"{MANIFEST}: it is not the manifest that was signed")


def _checkpoints(check: _Check) -> list[int]:
    """Open every checkpoint; give their sizes."""
    names = [name for name in check.manifest if name.startswith(f"{CHECKPOINTS}/")]
    if not names:
        raise Failed(Outcome.INCOMPLETE, f"{CHECKPOINTS}/: there is no checkpoint")
    for name in names:
        stem = name.removeprefix(f"{CHECKPOINTS}/").removesuffix(".txt")
        size = _number(stem)
        if size is None:
            raise Failed(Outcome.TAMPERED, f"{name}: a checkpoint is named by its number of entries")
        head = _opened(check, _read(check.folder, name, size), name, size)
        if head.size != size:
            raise Failed(Outcome.TAMPERED, f"{name}: it is the checkpoint of {head.size} entries", size)
        check.heads[size] = head.root
    return sorted(check.heads)


def _older(check: _Check, note: str | None, newest: int) -> int | None:
    """Open the auditor's own checkpoint; its root is compared on the way."""
    if note is None:
        return None
    head = _opened(check, _as_signed(note), "older checkpoint")
    if head.size > newest:
        problem = (
            f"entry {newest}: it is missing; your checkpoint counts {head.size} entries. Was it signed after this?"
        )
        raise Failed(Outcome.TAMPERED, problem, newest)
    if check.heads.setdefault(head.size, head.root) != head.root:
        raise Failed(
            Outcome.TAMPERED, f"the older checkpoint of {head.size} entries has another root: two histories", None
        )
    return head.size


def _as_signed(note: str) -> str:
    """Undo what mail programs and editors do to a text: line ends, a byte order mark, blanks at the ends."""
    lines = [line.rstrip() for line in note.removeprefix("\ufeff").splitlines()]
    return "\n".join(lines).strip("\n") + "\n"


# --- what was written ------------------------------------------------------------------------


def _entries(check: _Check, size: int) -> tuple[Growth, rules.Replay]:
    """Let the tree grow from the entries; compare tiles and roots on the way; judge every authorisation."""
    growth, state = Growth(), rules.Ledger(_wordings(check))
    for line in _lines(check.folder / ENTRIES):
        seq = growth.size
        if seq == size:
            raise Failed(Outcome.TAMPERED, f"entry {seq}: it stands behind the newest checkpoint", seq)
        digest = leaf_hash(line)
        _compare_leaf(check, seq, size, digest)
        _follow(state, _entry(line, seq))
        if seq in check.wanted:
            check.leaves[seq] = line
        growth.add([digest])
        if growth.size % TILE_WIDTH == 0 or growth.size == size:
            _compare_upper(check, growth, size)
        if growth.size in check.heads and growth.root() != check.heads[growth.size]:
            problem = f"entry {seq}: up to it the tree is not the one of checkpoint {growth.size}"
            raise Failed(Outcome.TAMPERED, problem, seq)
    if growth.size < size:
        raise Failed(Outcome.TAMPERED, f"entry {growth.size}: it is missing", growth.size)
    return growth, state.result()


def _wordings(check: _Check) -> dict[str, str]:
    """Give what people agreed to, by its hash, which is its name."""
    found = {}
    for name in check.manifest:
        if name.startswith(f"{WORDINGS}/"):
            text = _read(check.folder, name)
            digest = hashlib.sha256(text.encode()).hexdigest()
            if name != f"{WORDINGS}/{digest}.txt":
                raise Failed(Outcome.TAMPERED, f"{name}: it is another wording")
            found[digest] = text
    return found


def _lines(file: Path) -> Iterator[bytes]:
    """Give each line; the last one ends like all others."""
    with file.open("rb") as lines:
        number = 0
        while line := lines.readline(entries.LONGEST_LEAF + 2):
            if not line.endswith(b"\n"):
                raise Failed(Outcome.TAMPERED, f"entry {number}: its line is cut or too long", number)
            yield line[:-1]
            number += 1


def _entry(line: bytes, seq: int) -> entries.Recorded:
    """Read a leaf, which must be one that could have been appended at this place."""
    try:
        found = entries.parse(canonical.loads(line))
        # Writing it again shows at once that the bytes are canonical and that it stands in its place.
        again = entries.write(seq, entries.Entry(found.type, found.body, found.at, found.subject))
    except ConsentError as error:
        raise Failed(Outcome.TAMPERED, f"entry {seq}: {error}", seq) from None
    except MALFORMED:
        raise Failed(Outcome.TAMPERED, f"entry {seq}: it is no entry", seq) from None
    if again != line:
        raise Failed(Outcome.TAMPERED, f"entry {seq}: it is not spelt as the entry of this place", seq)
    return found


def _follow(state: rules.Ledger, entry: entries.Recorded) -> None:
    """Let the rules take an entry in; its body may be anything."""
    try:
        state.follow(entry)
    except (ConsentError, *MALFORMED):
        raise Failed(Outcome.TAMPERED, f"entry {entry.seq}: its body is not what its type holds", entry.seq) from None


def _compare_leaf(check: _Check, seq: int, size: int, digest: bytes) -> None:
    """Hold an entry against its tile, so that a changed one is named itself."""
    index, within = divmod(seq, TILE_WIDTH)
    if within == 0:
        check.tile = _tile(check, 0, index, min(TILE_WIDTH, size - seq))
    if digest != check.tile[within]:
        raise Failed(Outcome.TAMPERED, f"entry {seq}: its hash is not the one in the tile of its place", seq)


def _compare_upper(check: _Check, growth: Growth, size: int) -> None:
    """Hold the hashes of full tiles against the tiles above, as soon as one of those is full or the end is there."""
    growth.finished[0] = []
    for level, hashes in sorted(growth.finished.items()):
        if not hashes or (len(hashes) < TILE_WIDTH and growth.size != size):
            continue
        index = ((growth.size >> (TILE_HEIGHT * level)) - 1) // TILE_WIDTH
        held = _tile(check, level, index, len(hashes))
        for number, (ours, theirs) in enumerate(zip(hashes, held, strict=True)):
            if ours != theirs:
                seq = (index * TILE_WIDTH + number) << (TILE_HEIGHT * level)
                name = path(level, index, len(hashes))
                raise Failed(Outcome.TAMPERED, f"entry {seq}: {name} has another hash for what begins there", seq)
        growth.finished[level] = []


def _tile(check: _Check, level: int, index: int, width: int) -> list[bytes]:
    """Read a tile of the export."""
    name = path(level, index, width)
    first = (index * TILE_WIDTH) << (TILE_HEIGHT * level)
    try:
        if (check.folder / name).stat().st_size != width * HASH_BYTES:
            raise Failed(Outcome.TAMPERED, f"entry {first}: {name} holds not {width} hashes", first)
        return split((check.folder / name).read_bytes())
    except OSError:
        raise Failed(Outcome.INCOMPLETE, f"{name}: it is missing", first) from None


# --- what was proven -------------------------------------------------------------------------


def _proof_files(folder: Path) -> list[tuple[int, Path]]:
    """Give the proofs of single entries; what is disclosed beside one must have one."""
    found, disclosed = {}, set()
    for file in sorted((folder / PROOFS).glob("*")):
        seq = _number(file.stem)
        if seq is None or file.suffix not in {".tlog-proof", ".json"}:
            raise Failed(Outcome.TAMPERED, f"{PROOFS}/{file.name}: a proof is named by its entry's number")
        if file.suffix == ".json":
            disclosed.add(seq)
        else:
            found[seq] = file
    if unproven := sorted(disclosed - found.keys()):
        raise Failed(Outcome.INCOMPLETE, f"{PROOFS}/{unproven[0]}.tlog-proof: it is missing", unproven[0])
    return sorted(found.items())


def _number(text: str) -> int | None:
    """Read a number that is spelt as we spell it: under a second spelling a file would lie that nobody looks into."""
    number = int(text) if text.isdecimal() else None
    return number if str(number) == text else None


def _proofs(check: _Check) -> int:
    """Check every proof of a single entry, and what is disclosed beside it."""
    listed = _proof_files(check.folder)
    for seq, file in listed:
        name = f"{PROOFS}/{file.name}"
        try:
            proof = Proof.parse(_read(check.folder, name, seq))
            head = _opened(check, proof.note, name, seq)
            if proof.index != seq or seq not in check.leaves:
                raise FormatError(f"it is about entry {proof.index}")
            merkle.verify_inclusion(leaf_hash(check.leaves[seq]), seq, head.size, proof.hashes, head.root)
            if check.heads.get(head.size) != head.root:
                raise FormatError(f"its checkpoint of {head.size} entries is not among those exported")
        except ConsentError as error:
            raise Failed(Outcome.TAMPERED, f"entry {seq}: {name}: {error}", seq) from None
        _disclosed(check, seq)
    return len(listed)


def _disclosed(check: _Check, seq: int) -> None:
    """Hold wording and evidence that are disclosed with a proof against what the entry committed to."""
    name = f"{PROOFS}/{seq}.json"
    if not (check.folder / name).exists():
        return
    leaf = check.leaves[seq]
    try:
        shown = json.loads(_read(check.folder, name, seq), object_pairs_hook=_once)
        problem = disclosure_problem(shown, leaf)
    except (ConsentError, *MALFORMED):
        problem = "it is not readable"
    if problem:
        raise Failed(Outcome.TAMPERED, f"entry {seq}: {name}: {problem}", seq)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse an object that names a member twice: two readers could see two things."""
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError("a member twice")
    return dict(pairs)


def disclosure_problem(shown: dict[str, Any], leaf: bytes) -> str | None:
    """Say what does not fit between a disclosure and its entry; None when all does.

    A disclosure is {"leaf": text}, perhaps with "seq", "wordings" [text ...], and, where evidence is shown, both
    "salt" (hexadecimal) and "evidence" (an object). Raises what a malformed one raises.
    """
    if shown["leaf"].encode() != leaf:
        return "its leaf is not the entry"
    found = entries.read(leaf)
    if not shown.keys() <= DISCLOSED or shown.get("seq", found.seq) != found.seq:
        return "it says more than its entry can vouch for"
    for wording in shown.get("wordings", []):
        digest = hashlib.sha256(wording.encode()).hexdigest()
        if digest not in {item["text"] for item in found.body["purposes"]}:
            return "a wording is not the one that was agreed to"
    if ("salt" in shown) != ("evidence" in shown):
        return "evidence and its salt come together"
    if "salt" in shown:
        ours = hmac.digest(bytes.fromhex(shown["salt"]), canonical.encode(shown["evidence"]), "sha256")
        if not hmac.compare_digest(ours.hex(), found.body["commit"]):
            return "the evidence is not what the entry committed to"
    return None


# --- the command -----------------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    """Exits with 64 for wrong usage: 2 means something else here."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong."""
        self.print_usage(sys.stderr)
        self.exit(USAGE, f"{self.prog}: {message}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; give its exit code."""
    parser = _Parser(prog="python -m consent.verify", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="the export")
    parser.add_argument("--checkpoint", type=Path, metavar="OLD", help="file of an earlier checkpoint that you kept")
    parser.add_argument("--key", help="the verifier key you were given, or a file that holds it")
    parser.add_argument("--json", action="store_true", help="print JSON")
    asked = parser.parse_args(arguments)
    _sweep(asked.folder)
    key = asked.key
    try:
        if key is not None and _is_file(key):
            key = Path(key).read_text("utf-8")
        older = asked.checkpoint.read_bytes().decode("utf-8") if asked.checkpoint else None
        if older is not None:
            TreeHead.parse(notes.split(_as_signed(older))[0])
    except (OSError, UnicodeDecodeError, ConsentError):
        parser.error("the key file or the older checkpoint cannot be read; is it the text that was signed?")
    try:
        report = verify(asked.folder, key=key, older=older)
    except Failed as found:
        result = {"outcome": found.outcome.name.lower(), "problem": str(found), "entry": found.entry}
        _say(result if asked.json else f"{found.outcome.name.replace('_', ' ')}: {_plain(str(found))}")
        return int(found.outcome)
    _say({"outcome": "ok", **vars(report)} if asked.json else _told(report, key_given=key is not None))
    return int(Outcome.OK)


def _is_file(text: str) -> bool:
    with contextlib.suppress(OSError, ValueError):
        return Path(text).is_file()
    return False


def _sweep(folder: Path) -> None:
    """Take away what Python compiled of the export's own first file before this one could forbid it.

    Only what this very run made: older compiled files stay, and are told.
    """
    cache = Path(__file__).resolve().parent / "__pycache__"
    if not cache.is_relative_to(folder.resolve()):
        return
    with contextlib.suppress(OSError), tempfile.TemporaryFile() as now:
        just = os.fstat(now.fileno()).st_ctime - JUST_SECONDS
        for made in cache.glob("__init__.*.pyc"):
            if made.stat().st_ctime >= just:
                made.unlink()
        cache.rmdir()


def _say(result: object) -> None:
    print(result if isinstance(result, str) else json.dumps(result))  # noqa: T201  this is a command


def _plain(text: str) -> str:
    """Spell out what a terminal would obey: what an export names may have been written to be shown here."""
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)


def _told(report: Report, *, key_given: bool) -> str:
    signed = "the key you gave" if key_given else "the export's own key; compare it with the one you were given"
    lines = [
        f"OK: {report.size} entries of {_plain(report.origin)}",
        f"root            {report.root}",
        f"signed by       {signed}",
        f"checkpoints     {report.checkpoints}",
        f"older           {f'continues your checkpoint of {report.older} entries' if report.older else 'none given'}",
        f"mails           {report.authorisations} authorised, each on a living consent",
        f"proofs          {report.proofs}",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
