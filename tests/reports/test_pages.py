"""A report as a page: checked first, written with its origin."""

import pytest

from cnnlab.errors import ConfigError
from cnnlab.reports.pages import check_page, keep_page
from cnnlab.tracking import Run


def test_a_page_is_written_with_its_origin_below_the_title(tmp_path, capsys):
    path = tmp_path / "page.md"
    keep_page(Run.inactive(), "# Title\n\nText.\n", str(path), "mlflow run . -e some_report")
    lines = path.read_text().splitlines()
    assert lines[0] == "# Title" and lines[2].startswith("Written by `mlflow run . -e some_report`, run ")
    assert lines[-1] == "Text." and "Text." in capsys.readouterr().out


@pytest.mark.parametrize(("output", "sentence"), [
    ("page.txt", "is to be a Markdown file"), ("nowhere/page.md", "there is no folder nowhere"),
])  # fmt: skip
def test_where_no_page_can_be_written_nothing_begins(output, sentence):
    check_page("")
    with pytest.raises(ConfigError, match=sentence):
        check_page(output)
