"""How does an auditor get everything? One folder: the chain to verify, and the book to read, of one moment.

Order matters. The export is first entered in the ledger, then a checkpoint is signed that stands for this
entry too, and only then a snapshot is read: so the export proves its own making.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from sqlalchemy import distinct, func, select

from consent import canonical, checkpoints, entries, export, ledger, merkle, rules, texts
from consent.export import Parcel
from consent.rights import Copy
from consent.schema import consent_state, consent_text, ledger_entry, opt_in_request
from consent.tiles import Tiles
from consent.treeheads import Proof
from nurture.audit import AuditError, facts, paper, people, sheets
from nurture.audit.anchoring import enter, open_signer
from nurture.audit.book import Book, Cover
from nurture.audit.scope import days, said
from nurture.failpoints import reach

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime
    from pathlib import Path

    from sqlalchemy import Connection

    from consent.checkpoints import Checkpoint
    from consent.ledger import Verification
    from nurture.audit.scope import Scope
    from nurture.store.workspace import Workspace

MOST_PROOFS = 1000
"""Proof files of a pseudonymous export; entries and tiles prove every other entry as well."""
REPEAT = {
    "de": (
        "Im Ordner des Exports: python -B -m consent.verify . (Python ab 3.11 mit dem Paket cryptography; kein Netz, "
        "keine Datenbank). Mit einem früheren, anderswo verwahrten Prüfpunkt: --checkpoint DATEI. Wer dem beigelegten "
        "Prüfprogramm nicht traut, nimmt dasselbe aus dem veröffentlichten Quelltext; der Aufbau steht in "
        "consent/AUDIT.md."
    ),
    "en": (
        "In the folder of the export: python -B -m consent.verify . (Python 3.11 or newer with the package "
        "cryptography; no network, no database). With an earlier checkpoint kept elsewhere: --checkpoint FILE. "
        "Who does not trust the verifier that came along takes it from the published source; consent/AUDIT.md tells "
        "the layout."
    ),
}


VERDICT = {
    "de": {
        "ok": "in Ordnung: neu berechnete Einträge: {entries}, geprüfte Freigaben: {sends}, keine ohne Einwilligung",
        "bad": "NICHT in Ordnung: {problem}",
    },
    "en": {
        "ok": "ok: {entries} entries recomputed, {sends} authorisations checked, none without a consent",
        "bad": "NOT ok: {problem}",
    },
}
BREACHES = "{breaches} authorised mails rest on no living consent"
NOBODY = {"de": "nicht angegeben", "en": "not named"}
PERIODS = {"de": "gesamter Zeitraum", "en": "all of it"}


def _silent(_what: str, _done: int, _all: int) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Order:
    """Who makes the export, when, and how it is written."""

    by: str
    """An id or role; enters the ledger."""
    at: datetime
    version: str
    """Of the program."""
    language: str = "de"
    separator: str = ","
    """Between the cells of CSV files."""
    progress: Callable[[str, int, int], None] = _silent
    """Told what is under way, how much is done, of how much."""


@dataclass(frozen=True)
class Made:
    """What an export became."""

    folder: Path
    size: int
    root: str
    entry: int
    """The ledger entry of this export."""
    verified: bool
    figures: dict[str, int]


def make(ws: Workspace, folder: Path, scope: Scope, order: Order) -> Made:
    """Write the export into a new folder.

    Raises ExportError for a folder in use, AuditError for one that addresses may not lie in and for a controller
    that nobody ever heard of, CheckpointError when the ledger does not extend its last checkpoint: then nothing is
    signed.
    """
    if scope.reveal and folder.resolve().is_relative_to(ws.home):
        raise AuditError(
            "an export that shows addresses may not lie in the home folder: erasure would not find it there"
        )
    with ws.store.read() as conn:
        _refuse_stranger(conn, ws, scope.controller)
        count = len(scope.subjects) or _people_with_consent(conn)
    parcel = Parcel.begin(folder)
    signer = open_signer(ws)
    with ws.store.write() as conn:
        entry = enter(conn, ws, kind=Copy.AUDIT, scope=scope, count=count, by=order.by, at=order.at)
        signed = checkpoints.sign(conn, signer, at=order.at)
    signer.remember(signed)
    reach("export.mid")
    with ws.store.read() as conn, facts.work_file(folder, at=order.at) as held:
        judge = rules.Ledger(texts.register(conn))
        root = export.write_entries(
            parcel, _counted(export.leaves(conn, signed.size), signed.size, order), partial(_feed, held, judge)
        )
        export.write_checkpoints(parcel, conn, signed.size, str(signer.verifier))
        export.write_wordings(parcel, conn)
        held.close_book(scope)
        order.progress("check", 0, 1)
        verified, verdict = _verify(
            ledger.verify(conn, signed_by=signer.verifier),
            judge.result(),
            same=root == signed.root,
            language=order.language,
        )
        book = Book(conn, ws, held, scope, signed.size, order.language)
        counted = book.figures()
        cover = _cover(ws, scope, order, signed, verdict)
        source = people.Source(conn, ws.keyring, held, signed.size, scope.reveal is not None)
        for name in _write_book(book, cover, counted, source, parcel, order):
            parcel.add(name)
        _write_proofs(parcel, book, signed, order)
    for stamp in sorted((ws.home / "timestamps").glob("*.tsr")):
        parcel.write(f"timestamps/{stamp.name}", stamp.read_bytes())
    export.write_verifier(parcel)
    parcel.close(signer, size=signed.size, root=signed.root.hex(), exported_as=entry, version=order.version)
    return Made(folder, signed.size, signed.root.hex(), entry, verified, counted)


def _refuse_stranger(conn: Connection, ws: Workspace, controller: str | None) -> None:
    """Refuse a name that is none of ours: an empty book would tell an authority that nothing ever happened."""
    columns = (consent_text.c.controller, consent_state.c.controller, opt_in_request.c.controller)
    known = {name for column in columns for name in conn.execute(select(column).distinct()).scalars()}
    ours = sorted(known | {ws.settings.controller})
    if controller is not None and controller not in ours:
        raise AuditError(f"--controller names none of this installation; there is {', '.join(ours)}")


def _people_with_consent(conn: Connection) -> int:
    """How many people does it concern? Counted before, because the entry that tells comes before the export."""
    giving = ledger_entry.c.type.in_([str(one) for one in facts.BASES])
    return int(conn.execute(select(func.count(distinct(ledger_entry.c.subject))).where(giving)).scalar_one())


def _counted(leaves: Iterator[bytes], size: int, order: Order) -> Iterator[bytes]:
    for number, leaf in enumerate(leaves):
        if not number % export.CHUNK:
            order.progress("entries", number, size)
        yield leaf
    order.progress("entries", size, size)


def _feed(held: facts.Facts, judge: rules.Ledger, leaf: bytes) -> None:
    entry = entries.read(leaf)
    held.feed(entry)
    judge.follow(entry)


def _verify(whole: Verification, done: rules.Replay, *, same: bool, language: str) -> tuple[bool, str]:
    """Say what recomputing showed, of the database and of the very leaves that were exported."""
    words = VERDICT[language]
    if not whole.ok or not same:
        return False, words["bad"].format(problem=whole.problem or "the entries do not lead to the signed root")
    if not done.ok:
        return False, words["bad"].format(problem=BREACHES.format(breaches=done.breaches))
    return True, words["ok"].format(entries=done.entries, sends=done.authorisations)


def _cover(ws: Workspace, scope: Scope, order: Order, signed: Checkpoint, verdict: str) -> Cover:
    settings = ws.settings
    reveal = scope.reveal
    return Cover(
        title="nurture audit export",
        controller=f"{settings.company}, {settings.postal_address}",
        officer=settings.data_protection_officer or NOBODY[order.language],
        period=days(scope.since, scope.until, settings.tz) if scope.since or scope.until else PERIODS[order.language],
        filters=said(scope.describe(), order.language, settings.tz),
        made_at=order.at,
        version=f"nurture {order.version}",
        checkpoint=signed.note,
        verification=verdict,
        repeat=REPEAT[order.language],
        revealed_by=f"{reveal.by}, {reveal.second}" if reveal else "",
        reason=reveal.reason if reveal else "",
    )


def _write_book(
    book: Book, cover: Cover, counted: dict[str, int], source: people.Source, parcel: Parcel, order: Order
) -> Iterator[str]:
    """Write what is read by people and spreadsheets; give the name of each file when it is there."""
    folder, steps = parcel.folder, 4
    order.progress("book", 0, steps)
    sheets.write_json(book, cover, counted, folder / "export.json")
    yield "export.json"
    order.progress("book", 1, steps)
    for name in sheets.write_csv(book, counted, folder / "csv", separator=order.separator):
        yield f"csv/{name}"
    order.progress("book", 2, steps)
    with (folder / "people.jsonl").open("wb") as file:
        for person in people.files(source, book.facts.people(book.scope)):
            file.write(canonical.encode(person) + b"\n")
    yield "people.jsonl"
    order.progress("book", 3, steps)
    (folder / "report.pdf").write_bytes(paper.write(book, cover, counted, language=order.language))
    yield "report.pdf"
    order.progress("book", steps, steps)


def _write_proofs(parcel: Parcel, book: Book, signed: Checkpoint, order: Order) -> None:
    """Prove consents one by one, both steps, for whoever passes on a single one; all when revealed, else the first."""
    wordings = {text["sha256"]: text["body"] for text in book.texts()}
    reveal = book.scope.reveal is not None
    held = Tiles(book.conn)
    # One entry may give several purposes; its row comes once for each.
    for written, seq in enumerate(unique(consent["seq"] for consent in book.consents())):
        if written == MOST_PROOFS and not reveal:
            return
        if not written % export.CHUNK:
            # Neighbours share their tiles; after some hundred of them others are wanted.
            held = Tiles(book.conn)
            order.progress("proofs", written, written)
        told = proof_facts(book.conn, book.ws, seq=seq, wordings=wordings, reveal=reveal)
        asked = canonical.decode(told["leaf"].encode())["body"].get("request")
        export.write_proof(parcel, seq, _proof(seq, signed, held), told)
        if asked is not None:
            told = proof_facts(book.conn, book.ws, seq=asked, wordings=wordings, reveal=reveal)
            export.write_proof(parcel, asked, _proof(asked, signed, held), told)


def _proof(seq: int, signed: Checkpoint, held: Tiles) -> str:
    return str(Proof(seq, tuple(merkle.inclusion_proof(seq, signed.size, held)), signed.note))


def unique(seqs: Iterable[int]) -> Iterator[int]:
    """Give numbers that come in order, each once."""
    last = -1
    for seq in seqs:
        if seq != last:
            yield seq
        last = seq


def proof_facts(conn: Connection, ws: Workspace, *, seq: int, wordings: dict[str, str], reveal: bool) -> dict[str, Any]:
    """Give what a tlog-proof is about: leaf, wordings, and, when revealed, what opens the commitment."""
    leaf = conn.execute(select(ledger_entry.c.leaf).where(ledger_entry.c.seq == seq)).scalar_one()
    body = canonical.decode(leaf)["body"]
    told: dict[str, Any] = {
        "seq": seq,
        "leaf": leaf.decode(),
        "wordings": [wordings[item["text"]] for item in body["purposes"] if item["text"] in wordings],
    }
    if reveal:
        told |= people.disclosure(conn, ws.keyring, seq) or {}
    return told
