"""The process model, tried with small functions in place of training."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import psutil
import pytest
from conformance import Diary, act

from maskbench.executors import FunctionEnd, Resources, Task, TaskContext, machine
from maskbench.executors.local import LocalExecutor, StartMethod, default_method
from maskbench.experiment import PRELOAD
from maskbench.training.environment import use_threads

METHODS: list[StartMethod] = list(dict.fromkeys([default_method(), "spawn"]))


def threads(payload: str, context: TaskContext[str]) -> FunctionEnd:
    """Report how many threads torch uses; runs in a child."""
    import torch

    use_threads(int(payload))
    context.report(f"{torch.get_num_threads()} {torch.get_num_interop_threads()}")
    return "finished"


def test_a_death_is_told_with_its_cause() -> None:
    diary = Diary()
    tasks = [Task("exit 9"), Task(f"kill {int(signal.SIGKILL)}")]
    assert LocalExecutor(2, preload=PRELOAD).execute(act, tasks, diary) is None
    assert diary.ends["exit 9"].message == "its process exited with code 9 before the work was done"
    assert diary.ends["kill 9"].message == (
        "its process was killed by SIGKILL (most often the kernel, when memory runs out)"
    )
    assert diary.starts.count("kill 9") == 2


def test_without_a_number_of_workers_as_many_tasks_run_as_the_largest_allows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(machine, "count_cores", lambda: 4)
    monkeypatch.setattr(machine, "free_memory", lambda: 1000)
    assert LocalExecutor().count_workers(Resources(threads=2, memory=1)) == 2
    assert LocalExecutor().count_workers(Resources(threads=1, memory=300)) == 3
    assert LocalExecutor(7).count_workers(Resources(threads=2, memory=300)) == 7
    diary = Diary()
    needs = [Resources(threads=4), Resources(memory=10), Resources()]
    tasks = [Task(payload, resources=need) for payload, need in zip("abc", needs, strict=True)]
    assert LocalExecutor(preload=PRELOAD).execute(act, tasks, diary) is None
    assert diary.most_running == 1
    assert Resources.largest(needs) == Resources(4, 10)


# Each number differs from what torch would choose by itself there.
@pytest.mark.parametrize(("method", "n_threads"), [(METHODS[0], "2"), ("spawn", "1")])
def test_a_child_computes_with_the_threads_of_its_job(method: StartMethod, n_threads: str) -> None:
    diary = Diary()
    LocalExecutor(1, method, preload=PRELOAD).execute(threads, [Task(n_threads)], diary)
    assert diary.messages == {n_threads: [f"{n_threads} 1"]}


def test_a_child_that_does_not_stop_is_killed_after_the_grace_period() -> None:
    diary = Diary()
    diary.on_message = lambda: os.kill(os.getpid(), signal.SIGTERM)
    stopped = LocalExecutor(1, grace_seconds=0.1, preload=PRELOAD).execute(act, [Task("stubborn")], diary)
    assert stopped == signal.SIGTERM
    assert diary.ends["stubborn"].state == "interrupted"


def test_a_second_signal_leaves_at_once_and_takes_the_children_along() -> None:
    diary = Diary()

    def strike_twice() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()

    diary.on_message = strike_twice
    with pytest.raises(SystemExit) as left:
        LocalExecutor(1, grace_seconds=60, preload=PRELOAD).execute(act, [Task("stubborn")], diary)
    assert left.value.code == 130
    assert not _workers_of(os.getpid())


def _workers_of(pid: int) -> list[psutil.Process]:
    """The living Python descendants of a process, without the fork server and its tracker, which have none of our tasks.

    A browser that other tests of this process have opened is no descendant of ours.
    """
    found = []
    for process in psutil.Process(pid).children(recursive=True):
        helper = process.parent() == psutil.Process(pid) and default_method() == "forkserver"
        is_ours = process.name().lower().startswith("python")
        if is_ours and not helper and process.status() != psutil.STATUS_ZOMBIE:
            found.append(process)
    return found


SCRIPT = """
    import sys
    sys.path.insert(0, {tests!r})
    import conformance
    from maskbench.executors import Task
    from maskbench.executors.local import LocalExecutor

    class Printer(conformance.Diary):
        def reported(self, task, message):
            print(message, flush=True)

    if __name__ == "__main__":
        LocalExecutor(2, {method!r}).execute(conformance.act, [Task("stubborn 1"), Task("stubborn 2")], Printer())
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
    import conformance
    from maskbench.executors import Task
    from maskbench.executors.local import LocalExecutor

    if __name__ == "__main__":
        diary = conformance.Diary()
        diary.on_message = lambda: len(diary.messages) == 2 and diary.most_running == 2 and strike()
        struck = []
        def strike():
            if not struck:
                struck.append(os.killpg(os.getpgid(0), signal.{name}))
        stopped = LocalExecutor(2, {method!r}).execute(conformance.act, [Task("wait 1"), Task("wait 2")], diary)
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
