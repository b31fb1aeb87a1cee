"""How does a checkpoint get into a git repository elsewhere? One file, one commit, one push; nothing else changes."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nurture.audit.targets import KEY_FILE, Answer, write_note

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from nurture.audit.targets import Anchor

FOLDER = "checkpoints"
SECONDS = 60
"""For each command; a remote that asks for a password is not waited for."""
REMOTE = "origin"
AS = ("-c", "user.name=nurture", "-c", "user.email=nurture@invalid", "-c", "commit.gpgsign=false")


@dataclass(frozen=True)
class Repository:
    """A clone beside us. Use a branch of its own: nobody else pushes to it, so a push never has to merge."""

    clone: Path
    branch: str = ""
    """Empty for the one that is checked out."""

    @property
    def label(self) -> str:
        """Name clone and branch."""
        return f"git:{self.clone}#{self.branch}" if self.branch else f"git:{self.clone}"

    def deliver(self, anchor: Anchor, *, at: datetime) -> Answer:
        """Write, commit, push. What an earlier run committed and could not push goes out with it."""
        if not (self.clone / ".git").exists():
            return Answer(taken=False, detail="no clone")
        try:
            return self._deliver(anchor, at)
        except subprocess.TimeoutExpired:
            return Answer(taken=False, detail="git timeout")
        except OSError as error:
            return Answer(taken=False, detail=f"git {error.errno}")

    def _deliver(self, anchor: Anchor, at: datetime) -> Answer:
        branch = self._checked_out()
        if self.branch and branch != self.branch:
            if self._git("rev-parse", "--verify", "--quiet", "HEAD").returncode == 0:
                return Answer(taken=False, detail="another branch is checked out")
            # Nothing was ever committed: the name of the first branch is free.
            self._git("symbolic-ref", "HEAD", f"refs/heads/{self.branch}")
            branch = self.branch
        if not branch:
            return Answer(taken=False, detail="no branch is checked out")
        folder = self.clone / FOLDER
        folder.mkdir(exist_ok=True)
        written = write_note(folder, anchor)
        if not written.taken:
            return written
        paths = [f"{FOLDER}/{KEY_FILE}", f"{FOLDER}/{anchor.size}.txt"]
        steps = [("add", "--force", "--", *paths)]
        if self._changed(paths):
            dated = f"{at:%Y-%m-%dT%H:%M:%S+00:00}"
            steps.append(
                ("commit", "--quiet", "--date", dated, "--message", f"Checkpoint {anchor.size}", "--only", "--", *paths)
            )
        steps.append(("push", "--quiet", REMOTE, f"HEAD:refs/heads/{branch}"))
        for step in steps:
            code = self._git(*step).returncode
            if code:
                return Answer(taken=False, detail=f"git {step[0]} {code}")
        return Answer(taken=True, detail="pushed")

    def _checked_out(self) -> str:
        return self._git("symbolic-ref", "--quiet", "--short", "HEAD").stdout.decode(errors="replace").strip()

    def _changed(self, paths: list[str]) -> bool:
        """Tell whether these files differ from the last commit."""
        return bool(self._git("status", "--porcelain", "--ignored", "--", *paths).stdout)

    def _git(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        """Run git in the clone: no prompt, no variables of a surrounding git, its words read by nobody."""
        env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        env |= {"GIT_TERMINAL_PROMPT": "0", "GIT_SSH_COMMAND": "ssh -o BatchMode=yes", "LC_ALL": "C"}
        return subprocess.run(  # noqa: S603  fixed words and paths of our own
            ["git", *AS, "-C", str(self.clone), *arguments],  # noqa: S607  the git of this machine
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )
