"""The project's own tables equal its results/."""

from cnnlab.reports.records import read_records
from cnnlab.reports.tables import outdated


def test_tables_equal_results(repository):
    differing = [path.relative_to(repository).as_posix() for path in outdated(repository)]
    assert not differing, f"run python -m cnnlab.reports.tables: {', '.join(differing)}"


def test_every_record_has_its_entry_point_or_benchmark(repository):
    import yaml

    entry_points = yaml.safe_load((repository / "MLproject").read_text())["entry_points"]
    benchmarks = {f"bench_{path.stem}" for path in (repository / "benchmarks").glob("*.py")}
    assert read_records(repository / "results").keys() <= entry_points.keys() | benchmarks
