"""The project's own tables equal its results/."""

from cnnlab.reports.records import owner, read_records
from cnnlab.reports.tables import outdated


def test_tables_equal_results(repository):
    differing = [path.relative_to(repository).as_posix() for path in outdated(repository)]
    assert not differing, f"run python -m cnnlab.reports.tables: {', '.join(differing)}"


def test_every_record_has_its_entry_point_or_benchmark(repository):
    import yaml

    entry_points = yaml.safe_load((repository / "MLproject").read_text())["entry_points"]
    benchmarks = {f"bench_{path.stem}" for path in (repository / "benchmarks").glob("*.py")}
    strays = [r for r in read_records(repository / "results") if r not in benchmarks and not owner(r, entry_points)]
    assert not strays
