"""Search for good settings: Optuna proposes, trainings answer, hopeless ones are cut short.

References
----------
Akiba et al., "Optuna: A Next-generation Hyperparameter Optimization Framework", KDD 2019.
Bergstra et al., "Algorithms for Hyper-Parameter Optimization", NIPS 2011 (the sampler, TPE).
Golovin et al., "Google Vizier", KDD 2017 (the median stopping rule).
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from personalens import durable_files
from personalens.progress import Cancelled, Progress, ProgressEvent, ignore_progress

if TYPE_CHECKING:
    import optuna

COMPLETE, CUT = "COMPLETE", "CUT"
FIRST_UNCUT = 4
"""So many trials run to their end before the median of the others cuts one short."""

Params = dict[str, Any]
Objective = Callable[[Params, Progress], float]
"""Trains with these settings and returns how good that is; higher is better. It reports as it goes:
an event with an ``epoch`` and a ``metric`` is compared with the other trials', and the listener
raises Cancelled when the trial is not worth going on with."""


@dataclass(frozen=True)
class Range:
    """The values that one setting may take: whole numbers, floats from ``minimum`` to ``maximum``,
    or one of ``values``."""

    name: str
    kind: Literal["integer", "continuous", "categorical"]
    minimum: float = 0
    maximum: float = 0
    values: tuple[str, ...] = ()

    def clip(self, value: Any) -> Any:
        """Return the value of the range that is nearest to a wanted one."""
        if self.kind == "categorical":
            return value if value in self.values else self.values[0]
        number = int if self.kind == "integer" else float
        return number(min(max(number(value), self.minimum), self.maximum))

    def _distribution(self) -> optuna.distributions.BaseDistribution:
        from optuna import distributions

        if self.kind == "categorical":
            return distributions.CategoricalDistribution(self.values)
        if self.kind == "integer":
            return distributions.IntDistribution(int(self.minimum), int(self.maximum))
        return distributions.FloatDistribution(self.minimum, self.maximum)


@dataclass(frozen=True)
class Trial:
    """One training of a search."""

    number: int  # from 1
    params: Params
    state: str  # COMPLETE, or CUT when it was not worth going on with
    value: float | None = None  # of the objective; None if it was cut
    figures: dict[int, float] = field(default_factory=dict)  # the validation figure of each epoch
    seconds: float = 0.0  # 0 where an earlier trial had the same settings and was not repeated

    @classmethod
    def from_json(cls, members: Mapping[str, Any]) -> Trial:
        """Take back what ``dataclasses.asdict`` and JSON made of a trial."""
        figures = {int(epoch): figure for epoch, figure in members["figures"].items()}
        return cls(**{**members, "figures": figures})


class Search:
    """A search for the settings with the highest value.

    Trials run in batches of ``parallel``, each in a thread. Proposals and cuts depend on the
    batches before only, not on which thread is quicker: the same data, space and seed find the same
    settings, and a search that was killed goes on from its journal as if nothing had happened.

    The settings ``first``, such as the defaults, are tried before any are proposed. The ``journal``
    is a file with every finished trial; a search resumes from it if its ``key``, which stands for
    what the values depend on beside the settings, is the same. ``cut`` says whether hopeless trials
    are cut short; ``title`` and ``figure`` are what progress reports call a trial and its value.
    """

    def __init__(
        self,
        space: Sequence[Range],
        *,
        trials: int,
        parallel: int = 1,
        seed: int = 0,
        first: Sequence[Params] = (),
        journal: Path | None = None,
        key: str = "",
        cut: bool = True,
        title: str = "trial",
        figure: str = "value",
    ):
        self.space = tuple(space)
        self._first = [{r.name: r.clip(params[r.name]) for r in self.space} for params in first]
        self._count, self._parallel, self._seed = trials, max(1, min(parallel, trials)), seed
        self._journal, self._cut, self._title, self._figure = journal, cut, title, figure
        self._key = json.dumps([key, [asdict(r) for r in self.space], parallel, seed])
        self._lock = threading.Lock()
        self._stopped = False
        self._parts: dict[int, float] = {}
        self.trials: list[Trial] = []

    @property
    def best(self) -> Trial | None:
        """The trial with the highest value, of equals the earliest; None without a finished one."""
        finished = [trial for trial in self.trials if trial.value is not None]
        return max(finished, key=lambda trial: (trial.value, -trial.number), default=None)

    def run(self, objective: Objective, progress: Progress = ignore_progress) -> Trial:
        """Run what is left of the search and return the best trial.

        The objective is called in a thread of its own for each trial, and ``progress`` from those
        threads, one at a time; if that raises Cancelled, all of them end. Whatever the objective
        raises is raised here; the trials finished before are in the journal.
        """
        _require_optuna()
        self.trials = self._read()
        for start in range(0, self._count, self._parallel):
            numbers = range(start + 1, min(start + self._parallel, self._count) + 1)
            done = {trial.number for trial in self.trials}
            self._parts |= dict.fromkeys(done, 1.0)
            if done >= set(numbers):
                continue
            study = self._study(before=start)
            asked = {number: self._ask(study) for number in numbers}
            waiting = {number: asked[number] for number in numbers if number not in done}
            self._run_batch(objective, progress, waiting)
        best = self.best
        if best is None:  # the first trials are never cut, so there is one
            raise RuntimeError("no trial was finished")
        return best

    # -- proposals -------------------------------------------------------------------------------

    def _study(self, before: int) -> optuna.Study:
        """Return a study that knows the trials of the batches before, and nothing else."""
        import optuna

        seed = int(np.random.SeedSequence([self._seed, before]).generate_state(1)[0])
        study = optuna.create_study(
            direction="maximize",
            sampler=optuna.samplers.TPESampler(
                seed=seed, n_startup_trials=min(10, max(3, self._count // 4))
            ),
            pruner=optuna.pruners.MedianPruner(FIRST_UNCUT) if self._cut else _never_cut(),
        )
        distributions = {r.name: r._distribution() for r in self.space}
        for trial in self.trials:
            if trial.number <= before:
                study.add_trial(_known_trial(trial, distributions))
        for params in self._first[before:]:
            study.enqueue_trial(params)
        return study

    def _ask(self, study: optuna.Study) -> optuna.Trial:
        return study.ask({r.name: r._distribution() for r in self.space})

    # -- trials ----------------------------------------------------------------------------------

    def _run_batch(
        self, objective: Objective, progress: Progress, asked: Mapping[int, optuna.Trial]
    ) -> None:
        with ThreadPoolExecutor(len(asked), thread_name_prefix=self._title) as threads:
            running = [
                threads.submit(self._run_trial, objective, progress, number, trial)
                for number, trial in asked.items()
            ]
            try:
                errors = [each.exception() for each in running]
            except BaseException:  # a signal: the trials find out at their next report
                self._stopped = True
                raise
        for error in sorted(filter(None, errors), key=lambda e: isinstance(e, Cancelled)):
            raise error  # one that failed before those that were stopped because of it

    def _run_trial(
        self, objective: Objective, progress: Progress, number: int, asked: optuna.Trial
    ) -> None:
        params, began = dict(asked.params), time.perf_counter()
        twins = [t for t in self.trials if t.params == params and t.value is not None]
        if twins:
            self._finish(replace(twins[0], number=number, seconds=0.0))
            return
        listener = _TrialListener(asked, lambda event: self._tell(progress, number, event))
        try:
            state, value = COMPLETE, float(objective(params, listener))
        except Cancelled:
            if not listener.is_cut:
                self._stopped = True
                raise
            state, value = CUT, None
        except BaseException:
            self._stopped = True
            raise
        seconds = time.perf_counter() - began
        self._finish(Trial(number, params, state, value, listener.figures, seconds))

    def _tell(self, progress: Progress, number: int, event: ProgressEvent) -> None:
        with self._lock:
            if self._stopped:
                raise Cancelled("the search was stopped")
            self._parts[number] = max(self._parts.get(number, 0.0), event.fraction or 0.0)
            best = self.best
            so_far = "" if best is None else f", best {self._figure} {best.value:.3f}"
            stage = f"{self._title} {number} of {self._count}{so_far}"
            fraction = min(1.0, sum(self._parts.values()) / self._count)
            progress(replace(event, stage=stage, fraction=fraction))

    def _finish(self, trial: Trial) -> None:
        with self._lock:
            self.trials = sorted([*self.trials, trial], key=lambda each: each.number)
            self._parts[trial.number] = 1.0
            if self._journal is not None:
                content = {"key": self._key, "trials": [asdict(t) for t in self.trials]}
                durable_files.write_text(self._journal, json.dumps(content))

    def _read(self) -> list[Trial]:
        """Return the trials of an earlier run of this very search."""
        if self._journal is None or not self._journal.exists():
            return []
        content = json.loads(self._journal.read_text(encoding="utf-8"))
        if content["key"] != self._key:
            return []
        return [Trial.from_json(members) for members in content["trials"]]


class _TrialListener:
    """Hears one trial's reports, keeps its figures, and ends it when the others did better."""

    def __init__(self, asked: optuna.Trial, tell: Progress):
        self._asked, self._tell = asked, tell
        self.figures: dict[int, float] = {}
        self.is_cut = False

    def __call__(self, event: ProgressEvent) -> None:
        self._tell(event)
        if event.metric is None or event.epoch is None or event.epoch in self.figures:
            return
        self.figures[event.epoch] = event.metric
        self._asked.report(event.metric, event.epoch)
        if self._asked.should_prune():
            self.is_cut = True
            raise Cancelled("the median of the other trials was better")


def _known_trial(
    trial: Trial, distributions: Mapping[str, optuna.distributions.BaseDistribution]
) -> optuna.trial.FrozenTrial:
    from optuna.trial import TrialState, create_trial

    state = TrialState.COMPLETE if trial.state == COMPLETE else TrialState.PRUNED
    return create_trial(
        params=trial.params,
        distributions=dict(distributions),
        value=trial.value,
        intermediate_values=trial.figures,
        state=state,
    )


def _require_optuna() -> None:
    try:
        import optuna
    except ImportError as error:
        raise ImportError(
            "Searching for hyperparameters needs Optuna: pip install 'personalens[hpo]'."
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)


def _never_cut() -> optuna.pruners.BasePruner:
    import optuna

    return optuna.pruners.NopPruner()
