"""The executors that there are keep the contract, and the suite notices when one does not."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conformance import Diary, ExecutorConformance, act
from serial_executor import SerialExecutor

from maskbench.errors import ConfigError
from maskbench.executors import Executor, Resources, Task, TaskEnd
from maskbench.executors.local import LocalExecutor, default_method
from maskbench.executors.registry import build_executor
from maskbench.experiment import PRELOAD


class TestLocalExecutor(ExecutorConformance):
    def make(self, workers: int) -> Executor:
        return build_executor("local", workers=workers, preload=PRELOAD)


@pytest.mark.skipif(default_method() == "spawn", reason="tested above")
class TestLocalExecutorThatSpawns(ExecutorConformance):
    def make(self, workers: int) -> Executor:
        return LocalExecutor(workers, "spawn")


class TestSerialExecutor(ExecutorConformance):
    has_processes = False

    def make(self, workers: int) -> Executor:
        return SerialExecutor()


class Broken:
    """An executor that breaks one rule; the subclasses say which."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def warm_up(self) -> None:
        self.inner.warm_up()

    def count_workers(self, resources: Resources) -> int:
        return int(self.inner.count_workers(resources))

    def execute(self, function: Any, tasks: Sequence[Task[str]], listener: Diary) -> int | None:
        stopped: int | None = self.inner.execute(function, self.order(tasks), Altered(self, listener))
        return self.returned(stopped)

    def order(self, tasks: Sequence[Task[str]]) -> Sequence[Task[str]]:
        return tasks

    def returned(self, signum: int | None) -> int | None:
        return signum

    def started(self, listener: Diary, task: Task[str]) -> None:
        listener.started(task)

    def reported(self, listener: Diary, task: Task[str], message: str) -> None:
        listener.reported(task, message)

    def ended(self, listener: Diary, task: Task[str], end: TaskEnd) -> None:
        listener.ended(task, end)


class Altered:
    """A listener that hears what a broken executor makes of what happens."""

    def __init__(self, executor: Broken, listener: Diary) -> None:
        self.executor, self.listener = executor, listener

    def started(self, task: Task[str]) -> None:
        self.executor.started(self.listener, task)

    def reported(self, task: Task[str], message: str) -> None:
        self.executor.reported(self.listener, task, message)

    def ended(self, task: Task[str], end: TaskEnd) -> None:
        self.executor.ended(self.listener, task, end)


class StartsBackwards(Broken):
    def order(self, tasks: Sequence[Task[str]]) -> Sequence[Task[str]]:
        return tasks[::-1]


class LosesMessages(Broken):
    def reported(self, listener: Diary, task: Task[str], message: str) -> None:
        if message != "7":
            listener.reported(task, message)


class SwapsMessages(Broken):
    held: str | None = None

    def reported(self, listener: Diary, task: Task[str], message: str) -> None:
        if message == "3":
            self.held = message
            return
        listener.reported(task, message)
        if self.held is not None:
            listener.reported(task, self.held)
            self.held = None


class EndsTwice(Broken):
    def ended(self, listener: Diary, task: Task[str], end: TaskEnd) -> None:
        listener.ended(task, end)
        listener.ended(task, end)


class NeverEnds(Broken):
    def ended(self, listener: Diary, task: Task[str], end: TaskEnd) -> None:
        if end.state != "raised":
            listener.ended(task, end)


class EndsBeforeTheLastMessage(Broken):
    def reported(self, listener: Diary, task: Task[str], message: str) -> None:
        if message.endswith("ends"):
            listener.ended(task, TaskEnd("finished"))
        listener.reported(task, message)

    def ended(self, listener: Diary, task: Task[str], end: TaskEnd) -> None:
        if task.payload not in listener.ends:
            listener.ended(task, end)


class TellsNoError(Broken):
    def ended(self, listener: Diary, task: Task[str], end: TaskEnd) -> None:
        listener.ended(task, replace(end, message=""))


class CallsEveryEndFinished(Broken):
    def ended(self, listener: Diary, task: Task[str], end: TaskEnd) -> None:
        listener.ended(task, replace(end, state="finished"))


class CallsEveryStopAnInterruption(Broken):
    def ended(self, listener: Diary, task: Task[str], end: TaskEnd) -> None:
        listener.ended(task, replace(end, state="interrupted" if "finish" in task.payload else end.state))


class KeepsTheSignal(Broken):
    def returned(self, signum: int | None) -> int | None:
        return None


class GoesOnAfterASignal(Broken):
    def execute(self, function: Any, tasks: Sequence[Task[str]], listener: Diary) -> int | None:
        stopped = [self.inner.execute(function, [task], listener) for task in tasks]
        return next((signum for signum in stopped if signum is not None), None)


class NeverAsksToStop(Broken):
    def execute(self, function: Any, tasks: Sequence[Task[str]], listener: Diary) -> int | None:
        for task in tasks:
            listener.started(task)
            listener.reported(task, f"{task.payload} begins")
            listener.ended(task, TaskEnd("interrupted"))
        return int(signal.SIGTERM)


class DropsTheLog(Broken):
    def order(self, tasks: Sequence[Task[str]]) -> Sequence[Task[str]]:
        return [replace(task, log=None) for task in tasks]


class OverwritesTheLog(Broken):
    def order(self, tasks: Sequence[Task[str]]) -> Sequence[Task[str]]:
        for task in tasks:
            if task.log is not None and task.log.exists():
                task.log.unlink()
        return tasks


class KeepsAnEmptyLog(Broken):
    def ended(self, listener: Diary, task: Task[str], end: TaskEnd) -> None:
        if task.log is not None:
            task.log.touch()
        listener.ended(task, end)


class StartsMoreThanItSays(Broken):
    def count_workers(self, resources: Resources) -> int:
        return 1

    def execute(self, function: Any, tasks: Sequence[Task[str]], listener: Diary) -> int | None:
        for task in tasks:
            listener.started(task)
        for task in tasks:
            listener.ended(task, TaskEnd("finished"))
        return None


class RetriesWhatRaised(Broken):
    def execute(self, function: Any, tasks: Sequence[Task[str]], listener: Diary) -> int | None:
        self.first = {task.payload for task in tasks}
        return super().execute(function, tasks, listener)

    def ended(self, listener: Diary, task: Task[str], end: TaskEnd) -> None:
        if end.state == "raised":
            listener.started(task)
        listener.ended(task, end)


@pytest.mark.parametrize(
    ("broken", "name", "arguments"),
    [
        (StartsBackwards, "tasks_start_in_order_and_their_messages_arrive_in_order", [1]),
        (LosesMessages, "tasks_start_in_order_and_their_messages_arrive_in_order", [1]),
        (SwapsMessages, "tasks_start_in_order_and_their_messages_arrive_in_order", [1]),
        (EndsTwice, "a_task_reports_between_its_start_and_its_one_end", []),
        (NeverEnds, "a_task_reports_between_its_start_and_its_one_end", []),
        (EndsBeforeTheLastMessage, "a_task_reports_between_its_start_and_its_one_end", []),
        (StartsMoreThanItSays, "no_more_tasks_run_at_once_than_there_are_workers", [2]),
        (TellsNoError, "what_a_function_raises_is_told_is_not_retried_and_harms_no_other_task", []),
        (CallsEveryEndFinished, "what_a_function_raises_is_told_is_not_retried_and_harms_no_other_task", []),
        (RetriesWhatRaised, "what_a_function_raises_is_told_is_not_retried_and_harms_no_other_task", []),
        (CallsEveryEndFinished, "a_function_that_calls_exit_has_failed", []),
        (TellsNoError, "a_message_that_cannot_be_pickled_fails_its_task_alone", []),
        (DropsTheLog, "output_goes_to_the_log_and_an_empty_log_is_removed", ["tmp_path"]),
        (OverwritesTheLog, "output_goes_to_the_log_and_an_empty_log_is_removed", ["tmp_path"]),
        (KeepsAnEmptyLog, "output_goes_to_the_log_and_an_empty_log_is_removed", ["tmp_path"]),
        (KeepsTheSignal, "a_signal_asks_running_tasks_to_stop_and_starts_no_other", [signal.SIGTERM]),
        (GoesOnAfterASignal, "a_signal_asks_running_tasks_to_stop_and_starts_no_other", [signal.SIGTERM]),
        (NeverAsksToStop, "a_signal_asks_running_tasks_to_stop_and_starts_no_other", [signal.SIGTERM]),
        (
            CallsEveryStopAnInterruption,
            "a_task_that_finishes_although_it_was_asked_to_stop_has_finished",
            [],
        ),
    ],
)
def test_the_suite_notices_a_broken_rule(
    broken: type[Broken], name: str, arguments: list[Any], tmp_path: Path
) -> None:
    class Suite(ExecutorConformance):
        has_processes = False

        def make(self, workers: int) -> Executor:
            return broken(SerialExecutor())

    given = [tmp_path if argument == "tmp_path" else argument for argument in arguments]
    with pytest.raises(AssertionError):
        getattr(Suite(), f"test_{name}")(*given)


class NeverRetries(Broken):
    def __init__(self, inner: LocalExecutor) -> None:
        super().__init__(replace(inner, retries=0))


class HidesTheRetries(Broken):
    def ended(self, listener: Diary, task: Task[str], end: TaskEnd) -> None:
        listener.ended(task, replace(end, retries=0))


@pytest.mark.parametrize(
    ("broken", "name", "arguments"),
    [
        (NeverRetries, "a_task_whose_process_was_killed_is_started_again", ["tmp_path"]),
        (HidesTheRetries, "a_task_whose_process_was_killed_is_started_again", ["tmp_path"]),
        (NeverRetries, "a_task_whose_process_is_killed_again_and_again_is_given_up", []),
        (CallsEveryEndFinished, "a_process_that_exits_before_its_work_is_done_has_died", []),
        (TellsNoError, "a_process_that_exits_before_its_work_is_done_has_died", []),
    ],
)
def test_the_suite_notices_a_broken_rule_about_processes(
    broken: type[Broken], name: str, arguments: list[Any], tmp_path: Path
) -> None:
    class Suite(ExecutorConformance):
        def make(self, workers: int) -> Executor:
            return broken(LocalExecutor(workers, preload=PRELOAD))

    given = [tmp_path if argument == "tmp_path" else argument for argument in arguments]
    with pytest.raises(AssertionError):
        getattr(Suite(), f"test_{name}")(*given)


def test_an_executor_is_chosen_by_name() -> None:
    assert build_executor(workers=3, preload=("json",)) == LocalExecutor(3, preload=("json",))
    with pytest.raises(
        ConfigError, match=r"no executor named 'locla'; did you mean 'local'\? \(known: local\)"
    ):
        build_executor("locla")


def test_an_installed_package_may_add_an_executor(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.metadata import EntryPoint

    from maskbench.executors import registry

    def installed(group: str) -> list[EntryPoint]:
        assert group == "maskbench.executors"
        return [
            EntryPoint("serial", "test_executor_conformance:make_serial", group),
            EntryPoint("absent", "no_such_package:Executor", group),
            EntryPoint("local", "no_such_package:Executor", group),
        ]

    monkeypatch.setattr(registry, "entry_points", installed)
    diary = Diary()
    assert build_executor("serial", workers=1).execute(act, [Task("a")], diary) is None
    assert diary.states() == {"a": "finished"}
    assert isinstance(build_executor("local"), LocalExecutor)
    with pytest.raises(ConfigError, match="'absent' cannot be loaded: ModuleNotFoundError"):
        build_executor("absent")


def make_serial(*, workers: int | None, preload: Sequence[str]) -> Executor:
    return SerialExecutor()


class _Leaving:
    """An executor that leaves the program while it is made."""

    def __init__(self, *, workers: int | None, preload: object) -> None:
        raise SystemExit(0)


class _Idle:
    """An executor that can do nothing."""

    def __init__(self, *, workers: int | None, preload: object) -> None:
        pass

    def warm_up(self) -> None:
        """Do nothing."""


@pytest.mark.parametrize(
    ("made", "said"), [("_Leaving", "SystemExit: 0"), ("_Idle", "has no count_workers, execute")]
)
def test_an_executor_that_breaks_its_contract_is_one_message(
    monkeypatch: pytest.MonkeyPatch, made: str, said: str
) -> None:
    from importlib.metadata import EntryPoint

    from maskbench.executors import registry

    entry = EntryPoint("own", f"{__name__}:{made}", registry.GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: [entry])
    with pytest.raises(ConfigError, match="the executor 'own'") as caught:
        registry.build_executor("own")
    assert said in str(caught.value)
