"""Reports as Markdown pages: in the run, on the screen and, if wanted, as a file to be read without a store."""

from pathlib import Path

from cnnlab.errors import ConfigError
from cnnlab.tracking import Run
from cnnlab.tracking.provenance import code_revision


def check_page(output: str) -> None:
    """Refuse an `output` that no page can be written to, before anything is done for it.

    Raises:
        ConfigError: it is no .md file, or its folder is not there.
    """
    if output and (Path(output).suffix != ".md" or Path(output).is_dir()):
        raise ConfigError(f"output={output} is to be a Markdown file, such as report.md.")
    if output and not Path(output).parent.is_dir():
        raise ConfigError(f"output={output}: there is no folder {Path(output).parent}.")


def keep_page(run: Run, text: str, output: str, command: str) -> None:
    """Store the page as report.md in the run, print it, and write it to `output` with a line on where it comes from."""
    run.log_text("report.md", text)
    print(text, flush=True)
    if output:
        origin = f"Written by `{command}`, run {run.id[:8]}, commit {code_revision()['commit'][:10]}."
        title, _, rest = text.partition("\n")
        Path(output).write_text(f"{title}\n\n{origin}\n{rest}", encoding="utf-8")
