"""Does a test fail when a mutant is in the place of the code? One pytest run that forks for each of them.

First every test runs once, and which of them call which function is noted. A mutant inside a function is then tried
in a fork by the tests that call it, the fastest first, until one fails: nothing is imported or set up anew. A mutant
of what runs at import is tried by a process of its own. Unix only.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import gc
import inspect
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from types import FunctionType
from typing import TYPE_CHECKING, Any

import pytest

from mutate.mutants import code_of, mutants

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import CodeType, FrameType

    from mutate.mutants import Mutant

SLOWER = 5
"""A mutant may take this many times as long as the code it stands for, and PATIENCE seconds on top."""
PATIENCE = 20
KILLED, SURVIVED, TIMEOUT, UNREACHED = "killed", "survived", "timeout", "unreached"
FAILED = 1


@dataclass
class Trials:
    """A pytest plugin that tries mutants where pytest would run the tests."""

    modules: Sequence[str]
    """Paths of the modules to change, relative to the project."""
    report: Path
    """Grows by one JSON line a mutant; what stands there is not tried again."""
    arguments: Sequence[str]
    """Those of this pytest run, for processes of their own."""
    chosen: set[str]
    """Names of the mutants to try."""
    seconds: float
    """No more tests for one mutant than what the code itself passes in this time."""
    failed: bool = False
    _item: Any = None
    _functions: dict[tuple[str, int, str], list[Any]] = field(default_factory=dict)
    _caches: list[Any] = field(default_factory=list)
    _callers: dict[tuple[str, int], set[Any]] = field(default_factory=lambda: defaultdict(set))
    _seconds: dict[Any, float] = field(default_factory=dict)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: Any) -> bool:  # noqa: ANN401  pytest's session
        """Run all tests as they are, then try each mutant."""
        self._watch(session.items)
        if self.failed:
            raise session.Failed("a test fails without any mutant")
        self._find_functions()
        known = {json.loads(line)["mutant"] for line in self._lines()}
        for module in self.modules:
            tree = ast.parse(Path(module).read_text("utf-8"))
            # Those that need a process of their own take longest, so they come last.
            for one in sorted(mutants(tree), key=lambda mutant: mutant.function is None):
                named = name(module, one)
                if named in self.chosen - known:
                    self._note(named, self._outcome(module, tree, one))
        return True

    def pytest_runtest_logreport(self, report: Any) -> None:  # noqa: ANN401  pytest's report
        """Notice a failure."""
        self.failed |= report.failed

    def _lines(self) -> list[str]:
        return self.report.read_text("utf-8").splitlines() if self.report.exists() else []

    def _note(self, named: str, outcome: str) -> None:
        with self.report.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"mutant": named, "outcome": outcome}) + "\n")

    def _watch(self, items: Sequence[Any]) -> None:
        """Run the tests once, noting time and calls of each."""
        files = {str(Path(module).resolve()) for module in self.modules}

        def seen(frame: FrameType, event: str, _arg: object) -> None:
            if event == "call" and frame.f_code.co_filename in files:
                self._callers[frame.f_code.co_filename, frame.f_code.co_firstlineno].add(self._item)

        # What a function remembers of one test it would give the next without being called.
        remembering = [one for one in _caches() if _file(one) in files]
        for number, self._item in enumerate(items):
            for cache in remembering:
                cache.cache_clear()
            began = time.perf_counter()
            threading.settrace(seen)
            sys.settrace(seen)
            # The last one is followed by the first: what is set up for the whole session stays for the forks.
            _run(self._item, (*items, items[0])[number + 1])
            sys.settrace(None)
            threading.settrace(None)
            self._seconds[self._item] = time.perf_counter() - began

    def _outcome(self, module: str, tree: ast.Module, mutant: Mutant) -> str:
        """Try one mutant."""
        path = str(Path(module).resolve())
        if mutant.function is None:
            reached = {item for (file, _), items in self._callers.items() if file == path for item in items}
            return self._alone(module, tree, mutant, self._ordered(module, reached or set(self._seconds)))
        with mutant.applied():
            code = code_of(tree, path, mutant.function)
        items = self._ordered(module, self._callers[path, mutant.function], code.co_name.strip("_"))
        return self._forked(code, items) if items else UNREACHED

    def _ordered(self, module: str, items: set[Any], function: str = "") -> list[Any]:
        """Put tests first that speak of the function or its module, then the fastest; as many as there is time for."""
        words = {Path(module).stem, function} - {""}

        def rank(item: Any) -> tuple[int, float]:  # noqa: ANN401  pytest's item
            text = item.path.stem + inspect.getsource(item.function)
            return -sum(word in text for word in words), self._seconds[item]

        ordered = sorted(items, key=rank)
        until = accumulate(self._seconds[item] for item in ordered)
        return [item for item, spent in zip(ordered, until, strict=True) if spent <= self.seconds] or ordered[:1]

    def _patience(self, items: Sequence[Any]) -> float:
        return PATIENCE + SLOWER * sum(self._seconds[item] for item in items)

    def _forked(self, code: CodeType, items: Sequence[Any]) -> str:
        """Let the tests run in a copy of this process in which the function has other code."""
        space = Path(tempfile.mkdtemp())
        child = os.fork()
        if child == 0:
            status = FAILED
            try:
                # Its own group, so that whatever it starts ends with it; the alarm ends it when it hangs.
                os.setsid()
                signal.signal(signal.SIGALRM, signal.SIG_DFL)
                signal.setitimer(signal.ITIMER_REAL, self._patience(items))
                silence = os.open(os.devnull, os.O_WRONLY)
                os.dup2(silence, 1)
                os.dup2(silence, 2)
                items[0].config._tmp_path_factory._basetemp = space  # noqa: SLF001  what fails cleans nothing up
                self._replace(code)
                status = FAILED if self._fails(items) else 0
            finally:
                os._exit(status)
        _, status = os.waitpid(child, 0)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        shutil.rmtree(space, ignore_errors=True)
        if os.WIFSIGNALED(status):
            return TIMEOUT
        return KILLED if os.WEXITSTATUS(status) else SURVIVED

    def _find_functions(self) -> None:
        """Note every function of the modules, and what remembers results; leave all there is alone from now on."""
        files = {str(Path(module).resolve()) for module in self.modules}
        self._caches = _caches()
        for one in gc.get_objects():
            if isinstance(one, FunctionType) and one.__code__.co_filename in files:
                self._functions.setdefault(_place(one.__code__), []).append(one)
        # What a fork does not touch, it shares.
        gc.freeze()

    def _replace(self, code: CodeType) -> None:
        """Give the functions of this place the new code, and forget what functions remembered."""
        for cache in self._caches:
            cache.cache_clear()
        for one in self._functions[_place(code)]:
            one.__code__ = code

    def _fails(self, items: Sequence[Any]) -> bool:
        """Run tests until one fails."""
        self.failed = False
        for number, item in enumerate(items):
            _run(item, (*items, items[0])[number + 1])
            if self.failed:
                return True
        return False

    def _alone(self, module: str, tree: ast.Module, mutant: Mutant, items: Sequence[Any]) -> str:
        """Let the tests run in a new process that imports the changed module."""
        path = Path(module)
        source = path.read_text("utf-8")
        with mutant.applied():
            path.write_text(ast.unparse(tree), "utf-8")
        command = [sys.executable, "-m", "pytest", "-x", *self.arguments, *(item.nodeid for item in items)]
        try:
            done = subprocess.run(command, capture_output=True, check=False, timeout=self._patience(items))
        except subprocess.TimeoutExpired:
            return TIMEOUT
        finally:
            path.write_text(source, "utf-8")
        return KILLED if done.returncode else SURVIVED


def name(module: str, mutant: Mutant) -> str:
    """Name a mutant: where it stands, and what it changes."""
    return f"{module}:{mutant.place}: {mutant.change}"


def _run(item: Any, following: Any) -> None:  # noqa: ANN401  pytest's items
    item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)


def _caches() -> list[Any]:
    """Give every function that remembers results."""
    kind = functools._lru_cache_wrapper  # noqa: SLF001  the type has no public name
    return [one for one in gc.get_objects() if isinstance(one, kind)]


def _file(remembering: Any) -> str:  # noqa: ANN401  what `functools.cache` makes
    return getattr(getattr(remembering.__wrapped__, "__code__", None), "co_filename", "")


def _place(code: CodeType) -> tuple[str, int, str]:
    return code.co_filename, code.co_firstlineno, code.co_name
