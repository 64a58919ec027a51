"""The process model, tried with small functions in place of training."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from maskbench.errors import CorpusError
from maskbench.executors import End, Task
from maskbench.executors.local import LocalExecutor, StartMethod, default_method
from maskbench.executors.worker import Interrupted, stop_requested, use_threads

Say = Callable[[str], None]
METHODS: list[StartMethod] = list(dict.fromkeys([default_method(), "spawn"]))


class Diary:
    """A listener that writes everything down."""

    def __init__(self) -> None:
        self.starts: list[str] = []
        self.messages: dict[str, list[str]] = {}
        self.ends: dict[str, End] = {}
        self.running = 0
        self.most_running = 0
        self.on_message: Callable[[], None] = lambda: None

    def started(self, task: Task[str]) -> None:
        self.starts.append(task.payload)
        self.running += 1
        self.most_running = max(self.most_running, self.running)

    def reported(self, task: Task[str], message: str) -> None:
        self.messages.setdefault(task.payload, []).append(message)
        self.on_message()

    def ended(self, task: Task[str], end: End) -> None:
        assert task.payload not in self.ends
        self.ends[task.payload] = end
        self.running -= 1


def act(payload: str, say: Say) -> None:
    """Do what the payload says; runs in a child."""
    say(f"{payload} begins")
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
    elif verb == "wait":
        _wait_politely(say)
    elif verb == "stubborn":
        while True:
            time.sleep(0.01)
    say(f"{payload} ends")


def _wait_politely(say: Say) -> None:
    for _ in range(6000):
        if stop_requested():
            say("asked to stop")
            raise Interrupted
        time.sleep(0.01)


def threads(payload: str, say: Say) -> None:
    """Report the parent's and this process's id, and how many threads torch uses; runs in a child."""
    import torch

    use_threads(int(payload))

    say(f"{torch.get_num_threads()} {torch.get_num_interop_threads()}")


def run(*payloads: str, workers: int = 2, log: Path | None = None, **options: object) -> Diary:
    diary = Diary()
    executor = LocalExecutor(workers, **options)  # type: ignore[arg-type]
    assert executor.execute(act, [Task(payload, log) for payload in payloads], diary) is None
    return diary


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("workers", [1, 2])
def test_every_task_is_started_in_order_and_reports_in_order(method: StartMethod, workers: int) -> None:
    diary = run("a", "b", "c", workers=workers, method=method)
    assert diary.starts == ["a", "b", "c"]
    assert diary.messages == {name: [f"{name} begins", f"{name} ends"] for name in "abc"}
    assert {end.state for end in diary.ends.values()} == {"finished"}
    assert diary.most_running <= workers


def test_a_crash_is_told_with_its_cause_and_harms_no_other_task() -> None:
    diary = run("exit 9", f"kill {int(signal.SIGSEGV)}", "fine", "bug", "fine too")
    states = {name: end.state for name, end in diary.ends.items()}
    assert states == {
        "exit 9": "died",
        "kill 11": "died",
        "fine": "finished",
        "bug": "raised",
        "fine too": "finished",
    }
    assert "exited with code 9" in diary.ends["exit 9"].message
    assert "SIGSEGV" in diary.ends["kill 11"].message
    assert diary.ends["bug"].message == "ZeroDivisionError: by design"


def test_an_exit_without_a_word_is_no_success() -> None:
    diary = run("exit 0", "leave")
    assert diary.ends["exit 0"].state == "died"
    assert diary.ends["leave"].state == "raised"


def test_an_error_the_user_can_act_on_is_told_in_its_own_words() -> None:
    assert run("corpus").ends["corpus"].message == "line 3 is empty"


def test_a_task_whose_process_was_killed_is_started_once_more(tmp_path: Path) -> None:
    payload = f"once {tmp_path / 'marker'}"
    diary = run(payload, "fine")
    assert diary.ends[payload].state == "finished"
    assert diary.ends[payload].retries == 1
    assert diary.starts.count(payload) == 2


def test_a_task_that_is_killed_again_is_given_up_and_an_exception_is_never_retried() -> None:
    diary = run(f"kill {int(signal.SIGKILL)}", "bug")
    assert diary.starts.count("kill 9") == 2
    assert diary.ends["kill 9"].state == "died"
    assert "SIGKILL" in diary.ends["kill 9"].message
    assert diary.starts.count("bug") == 1


def test_what_a_child_prints_goes_to_its_log_and_an_empty_log_is_removed(tmp_path: Path) -> None:
    run("print hello", log=tmp_path / "loud.log")
    run("quiet", log=tmp_path / "quiet.log")
    run("bug", log=tmp_path / "bug.log")
    assert (tmp_path / "loud.log").read_text() == "hello\n"
    assert not (tmp_path / "quiet.log").exists()
    assert "Traceback" in (tmp_path / "bug.log").read_text()


# Each number differs from what torch would choose by itself there.
@pytest.mark.parametrize(("method", "n_threads"), [(METHODS[0], "2"), ("spawn", "1")])
def test_a_child_computes_with_the_threads_of_its_job(method: StartMethod, n_threads: str) -> None:
    diary = Diary()
    LocalExecutor(1, method).execute(threads, [Task(n_threads)], diary)
    assert diary.messages == {n_threads: [f"{n_threads} 1"]}


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_asks_the_children_to_stop_and_starts_no_further_task(signum: signal.Signals) -> None:
    diary = Diary()

    def strike_when_both_run() -> None:
        if len(diary.messages) == 2 and sum(map(len, diary.messages.values())) == 2:
            os.kill(os.getpid(), signum)

    diary.on_message = strike_when_both_run
    tasks = [Task("wait a"), Task("wait b"), Task("never")]
    assert LocalExecutor(2).execute(act, tasks, diary) == signum
    assert {name: end.state for name, end in diary.ends.items()} == {
        "wait a": "interrupted",
        "wait b": "interrupted",
    }
    assert diary.messages["wait a"][-1] == diary.messages["wait b"][-1] == "asked to stop"


def test_a_child_that_does_not_stop_is_killed_after_the_grace_period() -> None:
    diary = Diary()
    diary.on_message = lambda: os.kill(os.getpid(), signal.SIGTERM)
    stopped = LocalExecutor(1, grace_seconds=0.1).execute(act, [Task("stubborn")], diary)
    assert stopped == signal.SIGTERM
    assert diary.ends["stubborn"].state == "interrupted"


def test_a_second_signal_leaves_at_once_and_takes_the_children_along() -> None:
    diary = Diary()

    def strike_twice() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()

    diary.on_message = strike_twice
    with pytest.raises(SystemExit) as left:
        LocalExecutor(1, grace_seconds=60).execute(act, [Task("stubborn")], diary)
    assert left.value.code == 130
    assert not _workers_of(os.getpid())


def _workers_of(pid: int) -> list[psutil.Process]:
    """The living descendants of a process, without the fork server and its tracker, which have none of our tasks."""
    found = []
    for process in psutil.Process(pid).children(recursive=True):
        helper = process.parent() == psutil.Process(pid) and default_method() == "forkserver"
        if not helper and process.status() != psutil.STATUS_ZOMBIE:
            found.append(process)
    return found


SCRIPT = """
    import sys
    sys.path.insert(0, {tests!r})
    import test_local
    from maskbench.executors import Task
    from maskbench.executors.local import LocalExecutor

    class Printer(test_local.Diary):
        def reported(self, task, message):
            print(message, flush=True)

    if __name__ == "__main__":
        LocalExecutor(2, {method!r}, preload=()).execute(test_local.act, [Task("stubborn 1"), Task("stubborn 2")], Printer())
"""


@pytest.mark.parametrize("method", METHODS)
def test_no_child_outlives_a_parent_that_was_killed(tmp_path: Path, method: StartMethod) -> None:
    script = tmp_path / "parent.py"
    script.write_text(textwrap.dedent(SCRIPT.format(tests=str(Path(__file__).parent), method=method)))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, env=environment) as parent:
        assert parent.stdout is not None
        assert {parent.stdout.readline(), parent.stdout.readline()} == {
            b"stubborn 1 begins\n",
            b"stubborn 2 begins\n",
        }
        offspring = psutil.Process(parent.pid).children(recursive=True)
        assert len(offspring) >= 2
        parent.kill()
    _, alive = psutil.wait_procs(offspring, timeout=20)
    assert not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]


GROUP_SCRIPT = """
    import os, signal, sys
    sys.path.insert(0, {tests!r})
    import test_local
    from maskbench.executors import Task
    from maskbench.executors.local import LocalExecutor

    if __name__ == "__main__":
        diary = test_local.Diary()
        diary.on_message = lambda: len(diary.messages) == 2 and diary.most_running == 2 and strike()
        struck = []
        def strike():
            if not struck:
                struck.append(os.killpg(os.getpgid(0), signal.{name}))
        stopped = LocalExecutor(2, {method!r}, preload=()).execute(test_local.act, [Task("wait 1"), Task("wait 2")], diary)
        print(stopped == signal.{name}, *sorted(end.state for end in diary.ends.values()), diary.messages["wait 1"][-1])
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_to_the_whole_group_still_lets_every_child_stop_in_good_order(
    tmp_path: Path, name: str
) -> None:
    text = GROUP_SCRIPT.format(tests=str(Path(__file__).parent), method=default_method(), name=name)
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(text)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        start_new_session=True,
        timeout=60,
    )
    assert done.stdout == "True interrupted interrupted asked to stop\n", done.stderr
    assert done.stderr == ""
