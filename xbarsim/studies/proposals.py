"""What a search tries next, by Optuna: NSGA-II for several objectives, TPE for one. Seeded, so the same again."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from xbarsim.errors import XbarsimError
from xbarsim.studies.objectives import Constraint, Objective
from xbarsim.studies.points import Row
from xbarsim.studies.space import Choices, Range, Space, Steps

POPULATION = 24
"""Trials of a generation of NSGA-II."""


class Proposals:
    """Optuna's study: what to try next, after what was told."""

    def __init__(
        self, axes: Space, objectives: Sequence[Objective], constraints: Sequence[Constraint], seed: int
    ) -> None:
        self.axes, self.objectives, self.constraints = axes, objectives, constraints
        self.open: list[Any] = []
        library = optuna()
        more: dict[str, Any] = {"seed": seed % 2**32}
        if constraints and not hasattr(library.trial.Trial, "set_constraint"):  # before Optuna 5
            more["constraints_func"] = _excesses
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", library.exceptions.ExperimentalWarning)
            several = len(objectives) > 1
            chosen = (
                library.samplers.NSGAIISampler(population_size=POPULATION, **more)
                if several
                else library.samplers.TPESampler(**more)
            )
        directions = ["maximize" if one.maximize else "minimize" for one in objectives]
        self.study = library.create_study(directions=directions, sampler=chosen)

    def ask(self) -> dict[str, Any]:
        """The next point."""
        trial = self.study.ask()
        self.open.append(trial)
        return {key: _suggested(trial, key, axis) for key, axis in self.axes.items()}

    def tell(self, rows: Sequence[Row]) -> None:
        """What the points that were asked for last gave; those after them were not tried."""
        for trial, row in zip(self.open, rows, strict=False):
            if row["error"] is not None:
                self.study.tell(trial, state=optuna().trial.TrialState.FAIL)
                continue
            excess = {str(one): one.excess(row) for one in self.constraints}
            trial.set_user_attr("excess", list(excess.values()))
            if hasattr(trial, "set_constraint"):
                for name, value in excess.items():
                    trial.set_constraint(name, value)
            self.study.tell(trial, [float(row[one.column]) for one in self.objectives])
        self.open.clear()


def _excesses(trial: Any) -> list[float]:
    """By how much a trial of Optuna's breaks each constraint."""
    return list(trial.user_attrs.get("excess", []))


def _suggested(trial: Any, key: str, axis: Choices | Steps | Range) -> Any:
    if isinstance(axis, Choices):
        return axis.values[trial.suggest_categorical(key, list(range(len(axis.values))))]
    if isinstance(axis, Steps):
        return axis.value(trial.suggest_int(key, 0, axis.count - 1))
    if axis.whole:
        return trial.suggest_int(key, int(axis.low), int(axis.high), log=axis.log)
    return axis.rounded(trial.suggest_float(key, axis.low, axis.high, log=axis.log))


def optuna() -> Any:
    """The library; raise :class:`XbarsimError` where it is not installed."""
    try:
        import optuna as library
    except ModuleNotFoundError as missing:
        message = f"search needs Optuna, and {missing.name} is not installed: pip install 'xbarsim[search]'"
        raise XbarsimError(message) from None
    library.logging.set_verbosity(library.logging.WARNING)
    return library
