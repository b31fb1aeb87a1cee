"""What SendGrid's logs show resolves a doubt; what they do not show changes nothing."""

from __future__ import annotations

import json
import logging
import re
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import jsonschema
import pytest
from pydantic import SecretStr
from sqlalchemy import select, update

from consent import identity
from nurture.delivery import brakes, watching
from nurture.delivery.errors import DeliveryError
from nurture.delivery.policy import SendingPolicy
from nurture.delivery.provider import Refused, Sender, Unknown
from nurture.delivery.reconciling import look_into
from nurture.delivery.sendgrid import SendGrid
from nurture.delivery.sendgrid_logs import Doubtful, SendGridLogs, ask, doubtful, query
from nurture.delivery.sending import send_next
from nurture.store.tables import message, send_batch
from nurture.store.workspace import Workspace
from tests.nurture.delivery.stub import Stub, answer, hang, reset
from tests.nurture.delivery.test_parts_of_a_batch import Each
from tests.nurture.delivery.world import Scripted, World

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY = "SG.secret-marker-4711"
AT = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
ONE = Doubtful(1, "a" * 26, "erika@example.org", AT, AT + timedelta(hours=1))
FIELD = re.compile(r"(to_email|sg_message_id_created_at) (=|>=|<=) (?:TIMESTAMP )?['\"]([^'\"]+)['\"]")


@dataclass
class Logs:
    """The Email Logs of an account, held to the interface's description in what they take and give."""

    description: dict[str, Any]
    mails: list[dict[str, Any]] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    status: int = 200
    port: int = 0

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def take(self, public_id: str, address: str, at: datetime = AT) -> None:
        """Keep a mail, as if it had been accepted."""
        their_id = f"Xj5LmNkWSOqRbdvOpR34BA.recvd-85abf8d92c/{len(self.mails)}"
        about = {"from_email": "post@example.com", "sg_message_id": their_id, "subject": "Hallo", "to_email": address,
                 "status": "delivered"}  # fmt: skip
        self.mails.append({
            "hit": {**about, "sg_message_id_created_at": at.strftime("%Y-%m-%dT%H:%M:%SZ")},
            "details": {**about, "api_key_id": "k", "client_ip": "192.0.2.1", "events": [],
                        "custom_args": {"nurture_message_id": public_id, "nurture_attempt": "1"}},
        })  # fmt: skip

    def check(self, value: object, name: str) -> None:
        """Hold a body to its schema."""
        schema = {"$ref": f"#/components/schemas/{name}", "components": self.description["components"]}
        jsonschema.Draft202012Validator(schema).validate(value)

    def search(self, body: dict[str, Any]) -> dict[str, Any]:
        """Answer POST /v3/logs."""
        self.check(body, "EmailLogsGetMessagesByFilterRequest")
        assert set(body) <= {"query", "limit"}
        conditions = body["query"].split(" AND ")
        read = [FIELD.fullmatch(one) for one in conditions]
        assert all(read), body["query"]
        hits = [mail["hit"] for mail in self.mails if all(_holds(mail["hit"], *one.groups()) for one in read if one)]
        found = {"messages": hits[: body["limit"]]}
        self.check(found, "EmailLogsGetMessagesByFilterResponse")
        return found

    def show(self, their_id: str) -> dict[str, Any] | None:
        """Answer GET /v3/logs/{id}."""
        for mail in self.mails:
            if mail["hit"]["sg_message_id"] == their_id:
                self.check(mail["details"], "EmailLogsGetMessageByIdResponse")
                return dict(mail["details"])
        return None

    @contextmanager
    def run(self) -> Iterator[Logs]:
        """Serve until the block ends."""
        logs = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                logs.asked.append(("POST", self.path))
                self._answer(logs.search(body))

            def do_GET(self) -> None:
                logs.asked.append(("GET", self.path))
                self._answer(logs.show(unquote(self.path.removeprefix("/v3/logs/"))))

            def _answer(self, found: dict[str, Any] | None) -> None:
                status = 404 if found is None else logs.status
                if self.headers["Authorization"] != f"Bearer {KEY}":
                    status = 401
                content = json.dumps(found or {"errors": []}).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        with HTTPServer(("127.0.0.1", 0), Handler) as server:
            self.port = server.server_port
            thread = threading.Thread(target=server.serve_forever, args=(0.02,))
            thread.start()
            try:
                yield self
            finally:
                server.shutdown()
                thread.join()


def _holds(hit: dict[str, Any], name: str, sign: str, value: str) -> bool:
    own = hit[name]
    return bool(own == value if sign == "=" else own >= value if sign == ">=" else own <= value)


@pytest.fixture
def logs(shared: Path) -> Iterator[Logs]:
    """Running logs of an account that took nothing yet."""
    described = json.loads((shared / "data" / "sendgrid" / "tsg_logs_v3.json").read_text("utf-8"))
    with Logs(described).run() as running:
        yield running


def reader(url: str) -> SendGridLogs:
    """Read without waiting between requests."""
    return SendGridLogs(key=KEY, url=url, timeout=2.0, pause=0)


def test_a_hit_with_our_id_is_proof(logs: Logs) -> None:
    """One search and one look."""
    logs.take(ONE.public_id, ONE.address)

    assert reader(logs.url).proofs([ONE]) == ({ONE.public_id}, 1)
    assert [method for method, _ in logs.asked] == ["POST", "GET"]


def test_a_mail_to_the_same_person_with_another_id_is_none(logs: Logs) -> None:
    """Every hit is looked at; only ours counts."""
    logs.take("b" * 26, ONE.address)
    assert reader(logs.url).proofs([ONE]) == (set(), 1)

    logs.take(ONE.public_id, ONE.address)
    assert reader(logs.url).proofs([ONE]) == ({ONE.public_id}, 1)


@pytest.mark.parametrize("hours", [-1, 2])
def test_only_the_time_in_which_it_can_have_left_is_searched(logs: Logs, hours: int) -> None:
    """Not the whole month."""
    logs.take(ONE.public_id, ONE.address, AT + timedelta(hours=hours))

    assert reader(logs.url).proofs([ONE]) == (set(), 1)


def test_no_address_stands_in_a_path(logs: Logs) -> None:
    """Paths are logged by everybody."""
    logs.take(ONE.public_id, ONE.address)
    reader(logs.url).proofs([ONE])

    assert not [path for _, path in logs.asked if "erika" in path or "@" in unquote(path)]


@pytest.mark.parametrize("address", ["o'brien@example.org", 'a"b@example.org', "a\\b@example.org", "x' OR '1"])
def test_an_address_that_could_end_the_query_is_not_asked_for(logs: Logs, address: str) -> None:
    """It stays in doubt; no search is ever widened by what somebody typed into a form."""
    odd = Doubtful(1, ONE.public_id, address, ONE.since, ONE.until)

    assert (reader(logs.url).proofs([odd]), logs.asked) == ((set(), 1), [])


def test_the_query_names_address_and_time() -> None:
    """In the words of the interface's description."""
    assert query(ONE) == (
        "to_email = 'erika@example.org' AND sg_message_id_created_at >= TIMESTAMP \"2026-11-23T07:55:00Z\" "
        'AND sg_message_id_created_at <= TIMESTAMP "2026-11-23T09:05:00Z"'
    )


@pytest.mark.parametrize("status", [429, 500, 403, 302])
def test_trouble_ends_the_round(logs: Logs, status: int) -> None:
    """Nothing is proven, and nobody is asked for any more."""
    logs.status = status
    logs.take(ONE.public_id, ONE.address)

    assert reader(logs.url).proofs([ONE, ONE]) == (set(), 0)
    assert len(logs.asked) == 1


@pytest.mark.parametrize(
    "act", [reset, hang, answer(200, b"[]"), answer(200, b"{nonsense"), answer(200, b'{"messages": 5}')]
)
def test_no_answer_and_nonsense_prove_nothing(act: Any) -> None:
    """And raise nothing."""
    with Stub([act]).run() as stub:
        assert SendGridLogs(key=KEY, url=stub.url, timeout=0.2, pause=0).proofs([ONE])[0] == set()


def test_a_redirect_is_not_followed(logs: Logs) -> None:
    """The key stays with the host that it is for."""
    with Stub([answer(302, b"", Location=f"{logs.url}/v3/logs")]).run() as stub:
        assert reader(stub.url).proofs([ONE]) == (set(), 0)
    assert logs.asked == []


def test_the_key_is_in_no_text(caplog: pytest.LogCaptureFixture) -> None:
    """Neither in logs nor in what is shown of the object."""
    caplog.set_level(logging.DEBUG)
    with Stub([answer(401)]).run() as stub:
        made = reader(stub.url)
        made.proofs([ONE])

    assert KEY not in caplog.text + repr(made)


def test_plain_http_to_a_stranger_is_refused() -> None:
    """The key would travel readable."""
    with pytest.raises(DeliveryError, match="https"):
        SendGridLogs(key=KEY, url="http://api.example.com")


# --- with a database ---------------------------------------------------------------------------


def doubt(world: World, people: int = 1) -> list[tuple[str, str]]:
    """Leave mails in doubt that went through SendGrid; give public id and address of each."""
    provider = Scripted([Unknown("timeout")], name="sendgrid")
    world.plan(*(world.person() for _ in range(people)))
    send_next(world.ws, world.library, provider, kind="marketing", owner="w1", at=world.at)
    return [(mail.public_id, mail.to_address) for mail in provider.mails]


def test_a_young_doubt_is_left_to_the_events(world: World) -> None:
    """They come by themselves within a minute or so."""
    doubt(world)

    assert doubtful(world.ws, at=world.later(minutes=14).at, most=10) == []
    assert len(doubtful(world.ws, at=world.later(minutes=15).at, most=10)) == 1


def test_doubts_of_other_providers_are_not_asked_for(world: World) -> None:
    """SendGrid never saw those people."""
    doubt(world)
    with world.ws.store.write() as conn:
        conn.execute(update(send_batch).values(provider="smtp"))

    assert doubtful(world.ws, at=world.later(hours=1).at, most=10) == []


def test_each_round_goes_on_where_the_last_one_ended(world: World, logs: Logs) -> None:
    """And begins anew after the last."""
    sent = doubt(world, 3)
    for public_id, address in sent:
        logs.take(public_id, address, world.at)
    ids = [public_id for public_id, _ in sent]
    at = world.later(hours=1).at
    rounds = [ask(world.ws, reader(logs.url), at=at, most=2) for _ in range(3)]

    assert rounds == [set(ids[:2]), {ids[2]}, set(ids[:2])]


def test_somebody_erased_does_not_end_the_rounds(world: World, logs: Logs) -> None:
    """Those behind them are asked for in the next round."""
    first, *others = doubt(world, 3)
    for public_id, address in others:
        logs.take(public_id, address, world.at)
    with world.ws.store.write() as conn:
        subject = conn.execute(select(message.c.subject).where(message.c.public_id == first[0])).scalar_one()
        identity.erase(conn, subject, at=world.at)
    at = world.later(hours=1).at
    rounds = [ask(world.ws, reader(logs.url), at=at, most=2) for _ in range(2)]

    assert rounds == [{others[0][0]}, {others[1][0]}]


def test_who_left_a_batch_that_goes_again_is_looked_for_when_handed_over(world: World) -> None:
    """The batch itself waits until later than that."""
    world.plan(world.person(), world.person())
    at = world.at
    provider = Each([[Unknown("timeout"), Refused("http 429", retry_after=3600)]], name="sendgrid")
    send_next(world.ws, world.library, provider, kind="marketing", owner="w1", at=at)

    [one] = doubtful(world.ws, at=world.later(minutes=20).at, most=10)
    assert one.since <= at


def with_sendgrid(world: World, logs: Logs, *, on: bool = True) -> tuple[Workspace, SendGrid]:
    """Configure SendGrid with its logs."""
    changed = {"sendgrid_logs": on, "sendgrid_url": logs.url, "sendgrid_api_key": SecretStr(KEY)}
    ws = Workspace(world.ws.settings.model_copy(update=changed), world.ws.store, world.ws.keyring)
    return ws, SendGrid(Sender("post@example.com", "Musterwerk"), key=KEY, url=logs.url)


def test_reconciling_asks_the_logs(world: World, logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    """What they show is accepted, what they do not show stays in doubt."""
    monkeypatch.setattr("nurture.delivery.reconciling.PAUSE", 0)
    first, _ = doubt(world, 2)
    logs.take(*first, world.at)
    ws, provider = with_sendgrid(world, logs)

    assert look_into(ws, provider, at=world.later(hours=1).at).accepted == 1
    assert world.states() == {"accepted": 1, "in_doubt": 1}


def test_proof_by_the_logs_lets_marketing_go_on(world: World, logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the very look into the doubts, and without a person."""
    monkeypatch.setattr("nurture.delivery.reconciling.PAUSE", 0)
    for one in doubt(world, 6):
        logs.take(*one, world.at)
    ws, provider = with_sendgrid(world, logs)
    with ws.store.write() as conn:
        watching.watch(conn, SendingPolicy(), "sendgrid", world.at)
        before = [one.name for one in brakes.pulled(conn)]

    look_into(ws, provider, at=world.later(hours=1).at)
    with ws.store.read() as conn:
        assert (before, brakes.pulled(conn)) == (["in_doubt"], [])


def test_nobody_is_asked_unless_it_is_switched_on(world: World, logs: Logs) -> None:
    """It sends addresses, so a person decides."""
    doubt(world)
    ws, provider = with_sendgrid(world, logs, on=False)
    look_into(ws, provider, at=world.later(hours=1).at)

    assert logs.asked == []


def test_logs_that_are_down_keep_nobody_from_reconciling(world: World, logs: Logs) -> None:
    """A day still makes unknown."""
    doubt(world)
    logs.status = 500
    ws, provider = with_sendgrid(world, logs)

    assert look_into(ws, provider, at=world.later(hours=25).at).unknown == 1
    with world.ws.store.read() as conn:
        assert conn.execute(select(send_batch.c.state)).scalar_one() == "unknown"
