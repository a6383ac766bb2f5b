"""The run that `import mlflow` finds in a process: state of MLflow's own, which is the whole process's."""

from __future__ import annotations

import functools
import logging
import os
import threading
from typing import Any

from kit import redact

__all__ = ["Active"]

_SAMPLED_AFTER = 1.0
"""Seconds: of a run that is over by then there is nothing to sample."""

_log = logging.getLogger(__name__)


class Active:
    """A run that is made the active one, until it is left.

    What it raises is MLflow's.

    Args:
        uri: Where MLflow keeps runs.
        run_id: MLflow's.
        experiment_id: MLflow's.
        made: The run as MLflow's client made it in this process; None has MLflow ask for it.
    """

    def __init__(self, uri: str, run_id: str, experiment_id: str, made: object | None = None) -> None:
        import mlflow

        self._run_id = run_id
        mlflow.set_tracking_uri(uri)
        # Else every client looks for a Spark session first, those of background threads too, and an import there
        # while autologging is being set up here stops both for good: each holds the lock the other needs.
        mlflow.set_registry_uri(mlflow.get_registry_uri())
        while mlflow.active_run() is not None:  # the task's module may have started one when it was imported
            mlflow.end_run()
        _choose(experiment_id)
        if made is None:
            mlflow.start_run(run_id=run_id, log_system_metrics=False)
        else:  # MLflow would ask for it three times more, and say what is known
            _stack().append(mlflow.ActiveRun(made))
        self._let_others_join()
        self._sampling = threading.Timer(_SAMPLED_AFTER, self._sample)
        self._sampling.daemon = True
        self._sampling.start()
        os.environ["MLFLOW_RUN_ID"] = run_id

    def leave(self, status: str) -> bool:
        """End it with MLflow's word for how, in the same thread; whether it was still the active one to be ended."""
        import mlflow

        self._stop_sampling()
        active = mlflow.active_run()
        if active is None or active.info.run_id != self._run_id:
            return False
        os.environ.pop("MLFLOW_RUN_ID", None)
        mlflow.end_run(status)
        return True

    def forget(self) -> None:
        """Leave it without a word to anybody."""
        self._stop_sampling()
        os.environ.pop("MLFLOW_RUN_ID", None)
        _stack().clear()

    def _let_others_join(self) -> None:
        import mlflow

        class Joined(mlflow.ActiveRun):  # type: ignore[misc] # MLflow has no types
            """The run that is active already: whose `with` it is does not end it."""

            def __exit__(self, *_: object) -> None:
                """Nothing ends here."""

        start_run, own = mlflow.start_run, self._run_id

        @functools.wraps(start_run)
        def start_or_join(run_id: str | None = None, *arguments: Any, nested: bool = False, **more: Any) -> Any:  # noqa: ANN401
            active = mlflow.active_run()
            joins = active is not None and active.info.run_id == own and not nested and run_id in {None, own}
            return Joined(active) if joins else start_run(run_id, *arguments, nested=nested, **more)

        mlflow.start_run = start_or_join

    def _sample(self) -> None:
        """Begin with MLflow's samples of CPU, memory, disk, network and GPU, which end with its run."""
        from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor
        from mlflow.tracking import fluent

        try:
            monitor = SystemMetricsMonitor(self._run_id, resume_logging=True)
            fluent.run_id_to_system_metrics_monitor[self._run_id] = monitor
            monitor.start()
        except Exception as error:  # noqa: BLE001 - a run goes on without them
            _log.warning("the machine is not sampled: %s", redact.mask(str(error)))

    def _stop_sampling(self) -> None:
        """If it has not begun; else MLflow ends it with its run."""
        self._sampling.cancel()
        self._sampling.join(_SAMPLED_AFTER)  # it may have just begun


def _choose(experiment_id: str) -> None:
    """Have what is begun beside the run lie in the same experiment, whatever the task's module has chosen."""
    import mlflow
    from mlflow.tracking import fluent

    if fluent._active_experiment_id is None and "MLFLOW_EXPERIMENT_NAME" not in os.environ:  # noqa: SLF001
        os.environ["MLFLOW_EXPERIMENT_ID"] = experiment_id  # looked for when it is needed
    else:
        mlflow.set_experiment(experiment_id=experiment_id)


def _stack() -> list[Any]:
    """The active runs of this thread, which MLflow has no word for."""
    from mlflow.tracking import fluent

    found: list[Any] = fluent._active_run_stack.get()  # noqa: SLF001
    return found
