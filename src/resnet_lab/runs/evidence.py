"""What a run leaves of the user's own project, its code and its commit: read by people, never executed."""

from dataclasses import replace
from pathlib import Path

from resnet_lab.config.schema import TrainConfig
from resnet_lab.config.targets import targets
from resnet_lab.errors import UserError
from resnet_lab.files import write_text
from resnet_lab.runs.folder import RunFolder
from resnet_lab.runs.record import Record
from resnet_lab.runs.recording import git
from resnet_lab.targets import own_sources

SOURCES = "sources.md"  # no module by its name
EDITED = "edited since"


def leave(folder: RunFolder, config: TrainConfig, record: Record) -> Record:
    """Write the user's own code into the run folder, and return the record with the commit of their project."""
    files: dict[str, Path] = {}
    for leaf in targets(config):
        if leaf.affects_result:
            files |= own_sources(leaf.value)
    project = next(iter(files.values())).parent if files else Path.cwd()
    if files:
        parts = (f"## {name}\n\n````python\n{_text(file)}\n````\n" for name, file in sorted(files.items()))
        head = f"# The code of your own that made {record.label}, {record.hash}\n\nNothing runs it.\n\n"
        write_text(folder.path / SOURCES, head + "\n".join(parts))
    commit = git(project, "rev-parse", "HEAD")
    changed = git(project, "status", "--porcelain", "--untracked-files=no")
    untracked = git(project, "status", "--porcelain", "--", *map(str, files.values())) if files else ""
    dirty = None if commit is None else bool(changed or untracked)
    return replace(
        record, environment=replace(record.environment, project_commit=commit, project_dirty=dirty)
    )


def with_its_code(error: UserError, folder: RunFolder) -> UserError:
    """Return an error that says that code was edited, with where the code of the run is."""
    if EDITED not in str(error):
        return error
    try:
        record = folder.record()
    except UserError:
        record = None
    where = []
    if record and record.environment.project_commit:
        changes = ", with changes that were not committed" if record.environment.project_dirty else ""
        where.append(f"commit {record.environment.project_commit[:10]} of your project{changes}")
    if (folder.path / SOURCES).is_file():
        where.append(f"{folder.path / SOURCES} as a text")
    return UserError(f"{error}; the run's own code: {' and '.join(where)}") if where else error


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="backslashreplace").rstrip()
