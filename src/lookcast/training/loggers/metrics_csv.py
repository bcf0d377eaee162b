"""Figures of a run as a table that outlives interruptions."""

import csv
import io
import os
from argparse import Namespace
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities import rank_zero_only

from lookcast.atomic import atomic_write
from lookcast.checks import InputError


class MetricsCSV(Logger):
    """Writes `metrics.csv`: a row for what is logged together, `step` first, the other columns by name.

    Lightning's `CSVLogger` deletes the table of an interrupted run and, when a column is added, overwrites it in place.
    Here a row is added by a single write, and whatever changes more than that makes a new file which takes the place
    of the old one: the table can be read at any time, also after a kill. A row costs the same however long the table
    is; a new column copies it, row by row, which happens a few times at the beginning of a run.

    Args:
        save_dir: the run folder.

    Raises:
        InputError: the folder holds a `metrics.csv` of something else, or it can't be written.
    """

    def __init__(self, save_dir: str | Path) -> None:
        super().__init__()
        self.path = Path(save_dir) / "metrics.csv"
        self._columns: list[str] | None = None  # None until it is known what to keep of an earlier table
        self._row: dict[str, Any] = {}

    @property
    def name(self) -> str:
        """A run has one table."""
        return ""

    @property
    def version(self) -> str:
        """A run has one table."""
        return ""

    @property
    def save_dir(self) -> str:
        """The run folder."""
        return str(self.path.parent)

    @rank_zero_only
    def resume_at(self, step: int) -> None:
        """Keep the rows before this step; those behind are trained again. Without this, the first row decides."""
        self._columns = []
        if not self.path.is_file():
            return
        self._drop_half_a_row()
        rows = self._rows()
        columns = next(rows, [])
        if "step" not in columns:
            raise InputError(f"{self.path}: expected a table with a column `step`, got {','.join(columns)[:80]!r}")
        if step > 0:  # from the first step on it is another table, whose columns are not known yet
            place = columns.index("step")
            self._replace(columns, (row for row in rows if int(row[place]) < step))

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, Any], step: int | None = None) -> None:
        """Add to the row of this step; Lightning calls `save` when it has logged what it has of a step."""
        assert step is not None  # Lightning always has one
        if self._row.get("step", step) != step:
            self.save()
        values = {key: value.item() if isinstance(value, torch.Tensor) else value for key, value in metrics.items()}
        self._row |= {"step": step, **values}

    @rank_zero_only
    def save(self) -> None:
        """Write the row."""
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
        try:
            with self.path.open("ab", buffering=0) as file:
                file.write(line.getvalue().encode())
        except OSError as error:
            raise InputError(f"{self.path}: can't be written ({error.strerror})") from error

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Not in the table: Hydra has put the config into the run folder."""

    def _rows(self) -> Iterator[list[str]]:
        with self.path.open(newline="") as file:
            yield from csv.reader(file)

    def _add_columns(self, new: set[str]) -> None:
        assert self._columns is not None
        columns = ["step", *sorted({*self._columns, *new} - {"step"})]
        places = [self._columns.index(column) if column in self._columns else None for column in columns]
        rows = islice(self._rows(), 1, None) if self._columns else iter(())
        self._replace(columns, (["" if place is None else row[place] for place in places] for row in rows))

    def _drop_half_a_row(self) -> None:
        """What a full disk leaves of a row."""
        with self.path.open("rb+") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 2**16))  # longer than any row
            tail = file.read()
            file.truncate(size - len(tail) + tail.rfind(b"\n") + 1)

    def _replace(self, columns: list[str], rows: Iterator[list[str]]) -> None:
        with atomic_write(self.path) as temporary, temporary.open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(columns)
            writer.writerows(rows)
        self._columns = columns
