"""The record of a run: the figures that README and docstrings may quote, as `results/<entry_point>.json`.

An entry point that answers several questions by a setting has a record for each, `<entry_point>_<variant>.json`.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from math import isfinite
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from cnnlab.errors import DataError
from cnnlab.files import replacing

_DIGITS = 5  # significant digits of a stored figure; more would be noise
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_COMMIT = re.compile(r"[0-9a-f]{7,64}")


@dataclass(frozen=True)
class Record:
    """What one recorded run measured, on what, and with which code.

    Attributes:
        entry_point: the name in MLproject, with `_` and the variant behind it where it has several; names the file.
        run_id: the MLflow run.
        commit: the code's revision ("unknown" outside of a checkout), `dirty` when the tree held more than that.
        date: ISO 8601, a day or a time with its zone.
        hardware: in words, such as "2 CPU cores (AVX-512, bf16), no GPU".
        data: `name`, `digest` and `splits` (name of the split -> number of samples).
        seeds: one per repetition.
        metrics: name -> `mean`, `std` (of the sample; 0 where n is 1) and `n`; the name begins with the split,
            such as `test_ap50`. See `aggregate`.
        seconds: wall time; of a run that was stopped and resumed, of its last part, which the note then says.
        note: what a reader of the figures must know, such as weights that were not complete.
    """

    entry_point: str
    run_id: str
    commit: str
    dirty: bool
    date: str
    hardware: str
    data: dict[str, Any]
    seeds: tuple[int, ...]
    metrics: dict[str, dict[str, float]]
    seconds: float
    note: str = ""

    def __post_init__(self) -> None:
        """Refuse a record that a table could not quote.

        Raises:
            DataError: naming the key and what it must be.
        """
        object.__setattr__(self, "seeds", tuple(self.seeds) if isinstance(self.seeds, list | tuple) else self.seeds)
        for problem in _problems(self):
            raise DataError(f"the record of {self.entry_point!r} cannot be used: {problem}")


def aggregate(values: Mapping[str, Sequence[float]]) -> dict[str, dict[str, float]]:
    """Mean, sample standard deviation and number of the values of each metric.

    Raises:
        DataError: a metric without a value, or with one that is not finite.
    """
    metrics = {}
    for name, numbers in values.items():
        if not numbers or not all(isfinite(number) for number in numbers):
            raise DataError(f"the metric {name!r} has the values {list(numbers)}; give at least one, all finite")
        spread = stdev(numbers) if len(numbers) > 1 else 0.0
        metrics[name] = {"mean": _rounded(fmean(numbers)), "std": _rounded(spread, 3), "n": len(numbers)}
    return metrics


def write_record(record: Record, folder: str | Path) -> Path:
    """Write `<folder>/<entry_point>.json`; an older record stays whole until the new one is.

    Raises:
        DataError: the folder cannot be written to.
    """
    path = Path(folder) / f"{record.entry_point}.json"
    values = asdict(record)
    values["seeds"] = list(record.seeds)
    values["seconds"] = round(record.seconds, 1)
    values["metrics"] = {
        name: {"mean": _rounded(figures["mean"]), "std": _rounded(figures["std"], 3), "n": int(figures["n"])}
        for name, figures in record.metrics.items()
    }
    if not record.note:
        del values["note"]
    text = json.dumps(values, indent=2, ensure_ascii=False) + "\n"
    try:
        with replacing(path) as partial, open(partial, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        sentence = f"the record {path} cannot be written ({error.strerror}); free space or choose another folder"
        raise DataError(sentence) from error
    return path


def read_records(folder: str | Path) -> dict[str, Record]:
    """All records of a folder by entry point, in the names' order; none where there is no such folder.

    Raises:
        DataError: a file is not JSON, lacks a key, has an unknown one, or is named after another entry point.
    """
    records = {}
    for path in sorted(Path(folder).glob("*.json")):
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise DataError(f"{path} is not a readable JSON file ({error}); record the run again") from error
        records[path.stem] = _from_values(values, path)
    return records


def owner(name: str, entry_points: Iterable[str]) -> str | None:
    """The entry point that a record's name belongs to: the name itself, or it with `_` and a variant behind it."""
    return max((e for e in entry_points if name == e or name.startswith(f"{e}_")), key=len, default=None)


def _from_values(values: Any, path: Path) -> Record:
    known = [field.name for field in fields(Record)]
    if not isinstance(values, dict):
        raise DataError(f"{path} holds no record: expected an object with the keys {', '.join(known)}")
    missing, unknown = [key for key in known if key not in values and key != "note"], sorted(values.keys() - set(known))
    if missing or unknown:
        verbs = ("lacks", missing), ("has the unknown", unknown)
        parts = [f"{verb} {', '.join(keys)}" for verb, keys in verbs if keys]
        raise DataError(f"{path} is no complete record: it {' and '.join(parts)}; record the run again")
    try:
        record = Record(**values)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    if record.entry_point != path.stem:
        raise DataError(f"{path} holds the record of {record.entry_point!r}; rename it to {record.entry_point}.json")
    return record


def _problems(record: Record):
    """The sentences against a record, the first of which is reported."""
    for key in ("entry_point", "run_id", "commit", "date", "hardware"):
        if not isinstance(getattr(record, key), str) or not getattr(record, key).strip():
            yield f"{key} must be a text that is not empty"
            return
    if not _NAME.fullmatch(record.entry_point):
        yield "entry_point becomes a file name, so it may hold letters, digits, _ and - only"
    if record.commit != "unknown" and not _COMMIT.fullmatch(record.commit):
        yield f"commit must be a revision in hexadecimal or unknown, not {record.commit!r}"
    if not isinstance(record.dirty, bool):
        yield "dirty must be true or false"
    if not isinstance(record.note, str):
        yield "note must be a text"
    try:
        if datetime.fromisoformat(record.date).tzinfo is None and "T" in record.date:
            yield f"a date with a time must carry its zone, as 2026-01-31T12:00:00+00:00, not {record.date!r}"
    except ValueError:
        yield f"date must be in ISO 8601, as 2026-01-31, not {record.date!r}"
    yield from _data_problems(record.data)
    if not isinstance(record.seeds, tuple) or not record.seeds or not all(map(_is_count, record.seeds)):
        yield "seeds must list at least one whole number"
    if not _is_number(record.seconds) or record.seconds < 0:
        yield "seconds must be a number that is not negative"
    if not isinstance(record.metrics, dict) or not record.metrics:
        yield "metrics must hold at least one metric"
        return
    for name, figures in record.metrics.items():
        if not isinstance(figures, dict) or set(figures) != {"mean", "std", "n"}:
            yield f"the metric {name!r} must have mean, std and n, and nothing else"
        elif not (_is_number(figures["mean"]) and _is_number(figures["std"]) and figures["std"] >= 0):
            yield f"mean and std of the metric {name!r} must be finite numbers, std not negative"
        elif not _is_count(figures["n"]) or figures["n"] < 1:
            yield f"n of the metric {name!r} must be a whole number from 1"


def _data_problems(data: Any):
    if not isinstance(data, dict) or set(data) != {"name", "digest", "splits"}:
        yield "data must have name, digest and splits, and nothing else"
    elif not all(isinstance(data[key], str) for key in ("name", "digest")) or not data["name"]:
        yield "name and digest of data must be texts, and the name not empty"
    elif not isinstance(data["splits"], dict) or not all(_is_count(size) for size in data["splits"].values()):
        yield "splits of data must give the number of samples of each split"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _rounded(value: float, digits: int = _DIGITS) -> float:
    return float(value) if float(value).is_integer() else float(f"{value:.{digits}g}")  # a count is exact
