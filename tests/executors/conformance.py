"""What every executor must do, as tests.

To test an executor, subclass `ExecutorConformance` in a test module, under a name that begins with `Test`, and define
`make`. `test_executor_conformance.py` shows it, and shows that each test fails for an executor that breaks the rule it is about.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from maskbench.errors import CorpusError
from maskbench.executors import Executor, FunctionEnd, Resources, Task, TaskContext, TaskEnd


class Diary:
    """A listener that writes everything down."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []
        """`started`, `reported` or `ended`, and the payload of the task."""
        self.starts: list[str] = []
        self.messages: dict[str, list[str]] = {}
        self.ends: dict[str, TaskEnd] = {}
        self.running = 0
        self.most_running = 0
        self.on_message: Callable[[], None] = lambda: None

    def started(self, task: Task[str]) -> None:
        self.events.append(("started", task.payload))
        if task.payload not in self.starts:
            self.running += 1
        self.starts.append(task.payload)
        self.most_running = max(self.most_running, self.running)

    def reported(self, task: Task[str], message: str) -> None:
        self.events.append(("reported", task.payload))
        self.messages.setdefault(task.payload, []).append(message)
        self.on_message()

    def ended(self, task: Task[str], end: TaskEnd) -> None:
        assert task.payload not in self.ends, f"{task.payload} ended twice"
        self.events.append(("ended", task.payload))
        self.ends[task.payload] = end
        self.running -= 1

    def states(self) -> dict[str, str]:
        return {payload: end.state for payload, end in self.ends.items()}


def act(payload: str, context: TaskContext[object]) -> FunctionEnd:
    """Do what the payload says; runs in a child."""
    context.report(f"{payload} begins")
    verb, _, rest = payload.partition(" ")
    if verb == "exit":
        os._exit(int(rest))
    elif verb == "kill":
        os.kill(os.getpid(), int(rest))
    elif verb == "once":
        marker = Path(rest)
        if not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
    elif verb == "corpus":
        raise CorpusError("line 3 is empty")
    elif verb == "bug":
        raise ZeroDivisionError("by design")
    elif verb == "leave":
        sys.exit(0)
    elif verb == "print":
        print(rest)
    elif verb == "count":
        for number in range(int(rest)):
            context.report(str(number))
    elif verb == "unpicklable":
        context.report(lambda: None)
    elif verb == "meet":
        _wait_for_others(Path(rest))
    elif verb == "wait":
        return _wait_for_the_request(context)
    elif verb == "finish":
        _wait_for_the_request(context)
    elif verb == "stubborn":
        while True:
            time.sleep(0.01)
    context.report(f"{payload} ends")
    return "finished"


def _wait_for_the_request(context: TaskContext[object]) -> FunctionEnd:
    for _ in range(6000):
        if context.should_stop():
            context.report("asked to stop")
            return "interrupted"
        time.sleep(0.01)
    raise AssertionError("nobody asked")


def _wait_for_others(marker: Path) -> None:
    """Leave a file, and wait until there are two."""
    marker.touch()
    for _ in range(6000):
        if len(list(marker.parent.iterdir())) == 2:
            return
        time.sleep(0.01)
    raise AssertionError("nobody else came")


class ExecutorConformance:
    """The tests; a subclass says which executor they are about."""

    has_processes = True
    """False for an executor whose tasks do not run in processes of their own: tests of dying ones are skipped."""

    def make(self, workers: int) -> Executor:
        """Return an executor that runs at most so many tasks at once."""
        raise NotImplementedError

    def run(self, *payloads: str, workers: int = 2, log: Path | None = None) -> Diary:
        """Execute `act` for all payloads, undisturbed."""
        diary = Diary()
        assert self.make(workers).execute(act, [Task(payload, log) for payload in payloads], diary) is None
        assert diary.ends.keys() == set(payloads)
        return diary

    def stop(self, signum: int, *payloads: str, workers: int = 2, when: int) -> tuple[int | None, Diary]:
        """Execute `act` for all payloads, and send this process a signal once `when` messages have come."""
        diary, struck = Diary(), []

        def strike() -> None:
            if sum(map(len, diary.messages.values())) == when and not struck:
                struck.append(signum)
                os.kill(os.getpid(), signum)

        diary.on_message = strike
        # An executor that does not handle the signal must not end the test.
        before = signal.signal(signum, lambda *_: None)
        try:
            returned = self.make(workers).execute(act, [Task(payload) for payload in payloads], diary)
        finally:
            signal.signal(signum, before)
        assert struck
        return returned, diary

    def needs_processes(self) -> None:
        if not self.has_processes:
            pytest.skip("tasks run in the calling process")

    @pytest.mark.parametrize("workers", [1, 2])
    def test_tasks_start_in_order_and_their_messages_arrive_in_order(self, workers: int) -> None:
        diary = self.run("a", "count 20", "c", workers=workers)
        assert diary.starts == ["a", "count 20", "c"]
        assert diary.messages["a"] == ["a begins", "a ends"]
        assert diary.messages["count 20"] == ["count 20 begins", *map(str, range(20)), "count 20 ends"]
        assert set(diary.states().values()) == {"finished"}
        assert all(end.message == "" and end.retries == 0 for end in diary.ends.values())

    def test_a_task_reports_between_its_start_and_its_one_end(self) -> None:
        diary = self.run("a", "bug", "c")
        for payload in ("a", "bug", "c"):
            kinds = [kind for kind, of in diary.events if of == payload]
            assert kinds == ["started", *["reported"] * len(diary.messages[payload]), "ended"]

    @pytest.mark.parametrize("workers", [1, 2])
    def test_no_more_tasks_run_at_once_than_there_are_workers(self, workers: int) -> None:
        executor = self.make(workers)
        n_workers = executor.count_workers(Resources())
        assert 1 <= n_workers <= workers
        assert self.run(*"abc", workers=workers).most_running <= n_workers

    def test_several_workers_run_tasks_at_the_same_time(self, tmp_path: Path) -> None:
        if self.make(2).count_workers(Resources()) < 2:
            pytest.skip("runs one task at a time")
        diary = self.run(f"meet {tmp_path / 'here'}", f"meet {tmp_path / 'there'}")
        assert set(diary.states().values()) == {"finished"}

    def test_tasks_that_need_more_than_there_is_run_all_the_same(self) -> None:
        executor, diary = self.make(2), Diary()
        need = Resources(threads=1_000_000, memory=1 << 60)
        assert executor.count_workers(need) >= 1
        assert executor.execute(act, [Task("a", resources=need)], diary) is None
        assert diary.states() == {"a": "finished"}

    def test_no_tasks_are_done_at_once(self) -> None:
        assert self.run().events == []

    def test_an_executor_may_be_warmed_up_and_used_again(self) -> None:
        executor = self.make(1)
        executor.warm_up()
        executor.warm_up()
        for payload in ("a", "b"):
            diary = Diary()
            assert executor.execute(act, [Task(payload)], diary) is None
            assert diary.events[-1] == ("ended", payload)

    def test_what_a_function_raises_is_told_is_not_retried_and_harms_no_other_task(self) -> None:
        diary = self.run("bug", "fine", "corpus", "fine too")
        assert diary.states() == {
            "bug": "raised",
            "fine": "finished",
            "corpus": "raised",
            "fine too": "finished",
        }
        assert diary.ends["bug"].message == "ZeroDivisionError: by design"
        # An error that the user can act on is told in its own words.
        assert diary.ends["corpus"].message == "line 3 is empty"
        assert diary.starts.count("bug") == diary.starts.count("corpus") == 1

    def test_a_function_that_calls_exit_has_failed(self) -> None:
        assert self.run("leave").states() == {"leave": "raised"}

    def test_a_message_that_cannot_be_pickled_fails_its_task_alone(self) -> None:
        diary = self.run("unpicklable", "fine")
        assert diary.states() == {"unpicklable": "raised", "fine": "finished"}
        assert diary.messages["unpicklable"] == ["unpicklable begins"]
        assert diary.ends["unpicklable"].message

    def test_a_process_that_exits_before_its_work_is_done_has_died(self) -> None:
        self.needs_processes()
        diary = self.run("exit 9", "exit 0", "fine")
        assert diary.states() == {"exit 9": "died", "exit 0": "died", "fine": "finished"}
        assert "9" in diary.ends["exit 9"].message
        assert diary.starts.count("exit 9") == diary.starts.count("exit 0") == 1

    def test_a_task_whose_process_was_killed_is_started_again(self, tmp_path: Path) -> None:
        self.needs_processes()
        payload = f"once {tmp_path / 'marker'}"
        diary = self.run(payload, "fine")
        assert diary.ends[payload].state == "finished"
        assert diary.ends[payload].retries == 1
        assert diary.starts.count(payload) == 2

    def test_a_task_whose_process_is_killed_again_and_again_is_given_up(self) -> None:
        self.needs_processes()
        payload = f"kill {int(signal.SIGSEGV)}"
        diary = self.run(payload, "fine")
        assert diary.states() == {payload: "died", "fine": "finished"}
        assert "SIGSEGV" in diary.ends[payload].message
        assert diary.starts.count(payload) == 1 + diary.ends[payload].retries >= 2

    def test_output_goes_to_the_log_and_an_empty_log_is_removed(self, tmp_path: Path) -> None:
        (tmp_path / "loud.log").write_text("before\n")
        self.run("print hello", log=tmp_path / "loud.log")
        self.run("quiet", log=tmp_path / "new" / "quiet.log")
        self.run("bug", log=tmp_path / "bug.log")
        assert (tmp_path / "loud.log").read_text() == "before\nhello\n"
        assert not (tmp_path / "new" / "quiet.log").exists()
        assert "Traceback" in (tmp_path / "bug.log").read_text()

    def test_output_without_a_log_is_dropped(self, capfd: pytest.CaptureFixture[str]) -> None:
        self.run("print hello")
        assert "hello" not in capfd.readouterr().out

    @pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
    def test_a_signal_asks_running_tasks_to_stop_and_starts_no_other(self, signum: signal.Signals) -> None:
        n_workers = self.make(2).count_workers(Resources())
        running = ["wait a", "wait b"][:n_workers]
        returned, diary = self.stop(signum, *running, "never", when=n_workers)
        assert returned == signum
        assert diary.states() == dict.fromkeys(running, "interrupted")
        assert diary.starts == running
        assert all(diary.messages[payload][-1] == "asked to stop" for payload in running)

    def test_a_task_that_finishes_although_it_was_asked_to_stop_has_finished(self) -> None:
        returned, diary = self.stop(signal.SIGTERM, "finish", "never", workers=1, when=1)
        assert returned == signal.SIGTERM
        assert diary.states() == {"finish": "finished"}
