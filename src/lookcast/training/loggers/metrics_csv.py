"""Metrics of a run as a CSV table that survives interruptions."""

import csv
import errno
import io
import os
from argparse import Namespace
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.utilities import rank_zero_only

from lookcast.atomic import atomic_write
from lookcast.checks import InputError
from lookcast.paths import check_file
from lookcast.training.loggers.base import RunLogger

MAX_LINE = 2**20
"""Maximum number of characters to read at once. Rows are shorter than this."""


class MetricsCSV(RunLogger):
    """Write metrics to `metrics.csv`, one row for each logged step.

    `step` is the first column, and the other columns are sorted by name. A row is added by a single write call, and
    every other change replaces the file atomically, so other programs can read the table at any time. `kill -9` can cut
    off the last row, because Linux can end a write between two pages of memory; a resumed run drops such a row. To add
    a column, the logger copies the whole table row by row, which happens a few times at the beginning of a run.

    Lightning's `CSVLogger` deletes the table of an interrupted run, writes one row for every call, and overwrites the
    table in place when a column is added.

    Args:
        save_dir: the run folder.

    Raises:
        InputError: `metrics.csv` exists but is no table of metrics, or the file can't be read or written.
    """

    def __init__(self, save_dir: str | Path) -> None:
        super().__init__()
        self.path = Path(save_dir) / "metrics.csv"
        self._columns: list[str] | None = None  # None until `resume_at`
        self._row: dict[str, Any] = {}

    @property
    def name(self) -> str:
        """Return an empty name, because a run has only one table."""
        return ""

    @property
    def version(self) -> str:
        """Return an empty version, because a run has only one table."""
        return ""

    @property
    def save_dir(self) -> str:
        """Return the run folder."""
        return str(self.path.parent)

    @rank_zero_only
    def resume_at(self, step: int) -> None:
        """Keep only the rows before `step`.

        If nothing has called this method before the first `save`, `save` calls it with the step of the row to write.
        """
        self._columns = []
        if not os.path.lexists(self.path):
            return
        check_file(self.path, "table of figures")
        try:
            rows = self._rows()
            columns = next(rows, [])
            if "step" not in columns:
                raise ValueError(f"its columns are {','.join(columns)[:80]!r}")
            if step > 0:  # at step 0, the first row makes a new table
                self._replace(columns, _rows_before(step, rows, columns))
        except InputError:
            raise
        except OSError as error:
            raise InputError(f"{self.path}: can't be read ({error.strerror})") from error
        except (ValueError, csv.Error) as error:
            raise InputError(f"{self.path}: expected a table with a column `step`; {error}") from error

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, Any], step: int | None = None) -> None:
        """Add metrics to the row of a step. Lightning calls `save` after the last metrics of a step."""
        assert step is not None  # Lightning always passes a step
        if self._row.get("step", step) != step:
            self.save()
        values = {key: value.item() if isinstance(value, torch.Tensor) else value for key, value in metrics.items()}
        self._row |= {"step": step, **values}

    @rank_zero_only
    def save(self) -> None:
        """Write the row to the table."""
        row, self._row = self._row, {}
        if not row:
            return
        if self._columns is None:
            self.resume_at(row["step"])
        assert self._columns is not None
        if new := row.keys() - set(self._columns):
            self._add_columns(new)
        line = io.StringIO()
        csv.DictWriter(line, self._columns, lineterminator="\n").writerow(row)
        data = line.getvalue().encode()
        try:
            with self.path.open("ab", buffering=0) as file:
                # The disk is full. A second write would raise the error itself, but could extend the incomplete row.
                if file.write(data) < len(data):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise InputError(f"{self.path}: can't be written ({error.strerror})") from error

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Do nothing: Hydra writes the config into the run folder."""

    def _rows(self) -> Iterator[list[str]]:
        with self.path.open(encoding="utf-8", newline="") as file:
            lines = iter(lambda: file.readline(MAX_LINE), "")
            yield from csv.reader(line for line in lines if line.endswith("\n"))  # skips a cut-off row

    def _add_columns(self, new: set[str]) -> None:
        assert self._columns is not None
        columns = ["step", *sorted({*self._columns, *new} - {"step"})]
        places = [self._columns.index(column) if column in self._columns else None for column in columns]
        rows = islice(self._rows(), 1, None) if self._columns else iter(())
        self._replace(columns, (["" if place is None else row[place] for place in places] for row in rows))

    def _replace(self, columns: list[str], rows: Iterator[list[str]]) -> None:
        with atomic_write(self.path) as temporary, temporary.open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(columns)
            writer.writerows(rows)
        self._columns = columns


def _rows_before(step: int, rows: Iterator[list[str]], columns: list[str]) -> Iterator[list[str]]:
    place = columns.index("step")
    for row in rows:
        if len(row) != len(columns):
            raise ValueError(f"a row has {len(row)} cells, the header has {len(columns)}")
        if int(row[place]) < step:
            yield row
