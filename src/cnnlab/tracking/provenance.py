"""Where a figure came from: code revision, hardware, environment."""

import platform
import subprocess
from importlib.metadata import distributions

import psutil
import torch


def code_revision() -> dict[str, str]:
    """`commit` (40 hex digits, or `unknown` outside a git checkout) and `dirty` (`true` if tracked files differ)."""
    def git(*words: str) -> str | None:
        try:
            done = subprocess.run(["git", *words], capture_output=True, text=True, timeout=20)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    commit = git("rev-parse", "HEAD")
    # what the program itself writes for the reader must not make the tree that produced it look changed
    changes = git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!results", ":!README.md", ":!docs")
    return {"commit": commit or "unknown", "dirty": "unknown" if changes is None else str(bool(changes)).lower()}


def hardware() -> str:
    """One line: processor, cores used, memory, GPU."""
    name = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo") as file:
            name = next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), name)
    except OSError:
        pass
    memory = psutil.virtual_memory().total / 2**30
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ", no GPU"
    process = psutil.Process()  # macOS does not tell to which cores a process is bound
    cores = len(process.cpu_affinity()) if hasattr(process, "cpu_affinity") else psutil.cpu_count()
    return f"{name}, {cores} core{'s' * (cores != 1)}, {memory:.0f} GiB{gpu}"


def environment() -> str:
    """Python and every installed package with its version, one a line."""
    packages = sorted({f"{d.metadata['Name']}=={d.version}" for d in distributions()}, key=str.lower)
    return "\n".join([f"python=={platform.python_version()}", *packages]) + "\n"
