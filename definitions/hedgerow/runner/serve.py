"""The runner's life: load the code once, execute order after order, end with the worker."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
from collections import deque
from pathlib import Path
from types import FrameType

import msgspec

from hedgerow.discovery import LoadedLocation, load_location
from hedgerow.errors import HedgerowError, Problem
from hedgerow.manifest import model
from hedgerow.protocol.envelope import decode_envelope
from hedgerow.protocol.runner import MAX_FRAME_BYTES, Evaluate, Execute, Load, Loaded, LoadFailed, Withdraw, Withdrawn
from hedgerow.runner.attempt import Executor, Terminated
from hedgerow.runner.capture import Capture, step_logger
from hedgerow.runner.evaluation import Evaluator
from hedgerow.runner.failures import problem_of, sendable
from hedgerow.runner.pipe import Events, FrameError, Orders, end_process

_execute_decoder = msgspec.json.Decoder(Execute)
_evaluate_decoder = msgspec.json.Decoder(Evaluate)
_load_decoder = msgspec.json.Decoder(Load)
_withdraw_decoder = msgspec.json.Decoder(Withdraw)
_STDERR = 2
_TERMINATED = 128 + signal.SIGTERM
# Without the look-up of what it returns among enumerations, which takes ten times as long: it is done for every step.
_set_handler = getattr(signal.signal, "__wrapped__", signal.signal)


def load(path: str) -> tuple[LoadedLocation, bytes] | list[Problem]:
    """Import the location whose hedgerow.toml is at `path` (the file or its folder).

    Returns it with its manifest's canonical JSON, or everything that is wrong with it, whatever its modules did on import.
    """
    root = _root(path)
    try:
        location = load_location(root)
        return location, model.encode(location.manifest)
    except HedgerowError as error:
        return [sendable(problem) for problem in error.problems]
    except Terminated:
        raise
    except BaseException as error:
        found = problem_of(error, root, "Loading the code")
        return [
            Problem(
                "HR-X004",
                f"The code of {root} can't be loaded: {found.message}.",
                "Correct what the traceback shows.",
                found.file,
                found.line,
                found.traceback,
            )
        ]


class Runner:
    """Serves one worker over two pipes until it closes them."""

    def __init__(self, orders: Orders, events: Events) -> None:
        self._orders = orders
        self._events = events
        self._capture = Capture()
        self._executor: Executor | None = None
        self._evaluator: Evaluator | None = None
        self._busy = False
        self._terminated = False
        self._folder = os.getcwd()
        self._waiting: deque[Load | Execute | Evaluate] = deque()

    def serve(self) -> int:
        """Handle messages until the worker closes the pipe; returns the exit code."""
        signal.signal(signal.SIGTERM, self._on_sigterm)
        faulthandler.enable(_STDERR)  # the stack of a crash is in the step's log
        self._orders.end_with_worker()
        try:
            while (message := self._next()) is not None:
                self._handle(message)
            end_process(0)
            return 0
        except (FrameError, msgspec.MsgspecError) as error:
            print(f"HR-X008  The worker's message can't be understood: {error}.", file=sys.stderr, flush=True)
            return 2
        except KeyboardInterrupt:
            return 130

    def _next(self) -> Load | Execute | Evaluate | None:
        """What to do next, after a look at everything that has arrived: orders sent ahead may have been withdrawn. None: no worker."""
        for frame in self._orders.arrived():
            self._sort(frame)
        while not self._waiting:
            waited_for = self._orders.next()
            if waited_for is None:
                return None
            self._sort(waited_for)
        return self._waiting.popleft()

    def _sort(self, frame: bytes) -> None:
        envelope = decode_envelope(frame)
        if envelope.kind == "execute":
            self._waiting.append(_execute_decoder.decode(envelope.body))
        elif envelope.kind == "evaluate":
            self._waiting.append(_evaluate_decoder.decode(envelope.body))
        elif envelope.kind == "load":
            self._waiting.append(_load_decoder.decode(envelope.body))
        elif envelope.kind == "withdraw":
            self._withdraw(_withdraw_decoder.decode(envelope.body))
        # Kinds that a later worker may send and this runner does not know are none of its business.

    def _withdraw(self, message: Withdraw) -> None:
        unwanted = set(message.attempt_ids)
        for each in list(self._waiting):
            if isinstance(each, Execute) and each.order.attempt_id in unwanted:
                self._waiting.remove(each)
                self._send("withdrawn", Withdrawn(each.order.attempt_id))

    def _handle(self, message: Load | Execute | Evaluate) -> None:
        self._busy = True
        try:
            if isinstance(message, Load):
                self._load(message)
            elif self._executor is None or self._evaluator is None:
                raise FrameError("execute came before load")
            elif isinstance(message, Evaluate):
                self._start_afresh()
                self._evaluator.run(message)
            else:
                self._start_afresh()
                self._executor.run(message)
        except Terminated:
            pass
        finally:
            self._busy = False
        if self._terminated:
            os._exit(_TERMINATED)

    def _start_afresh(self) -> None:
        """Undo what an earlier step may have changed for the whole process."""
        _set_handler(signal.SIGTERM, self._on_sigterm)
        _set_handler(signal.SIGINT, signal.default_int_handler)
        try:
            os.chdir(self._folder)
        except OSError:
            pass  # removed under us; the code is in memory

    def _load(self, message: Load) -> None:
        loaded = load(message.path)
        if isinstance(loaded, list):
            self._send("load_failed", LoadFailed(tuple(loaded)))
            return
        location, body = loaded
        digest = model.manifest_hash(body)
        self._capture.keep_streams()
        log = step_logger(self._capture.missing)
        self._executor = Executor(location, digest, _root(message.path), self._events, self._capture, log)
        self._evaluator = Evaluator(location, _root(message.path), self._events, self._capture)
        self._send("loaded", Loaded(digest, body.decode()))

    def _send(self, kind: str, body: object) -> None:
        self._events.emit(kind, body, limit=MAX_FRAME_BYTES)
        self._events.flush()

    def _on_sigterm(self, _number: int, _frame: FrameType | None) -> None:
        if not self._busy or self._terminated:
            os._exit(_TERMINATED)
        self._terminated = True
        self._events.mute()
        raise Terminated


def _root(path: str) -> Path:
    given = Path(path).resolve()
    return given.parent if given.is_file() else given
