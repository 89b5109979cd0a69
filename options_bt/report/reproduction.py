"""How to reproduce a run."""

from __future__ import annotations

import polars as pl

from options_bt.job.writing import written_job
from options_bt.report.parts import Section, Text, frame_table
from options_bt.report.run_data import RunData


def reproduction(data: RunData) -> Section:
    """Return job file, commands, versions and fingerprints of the data, from `run.json`, which has no passwords."""
    info = data.run.info
    job = info.job
    masked = " Its password is masked here." if "***" in job.source else ""
    commit = f" at commit {info.source_revision}" if info.source_revision else ""
    paragraphs = (
        f"Save the job file as {job.name}.yaml and run the commands. With the same versions and fingerprints the "
        f"results are the same to the last bit; options-bt compare checks that.{masked}",
        f"Run on {info.created:%Y-%m-%d %H:%M} UTC on {info.host}. Source: {info.source}{commit}; "
        f"version of its tables: {info.source_version}; version of the engine's rules: {info.semantics}.",
    )
    packages = " ".join(
        f"{name}=={version}" for name, version in info.versions.items() if name not in ("python", "options-bt")
    )
    commands = f"python -m pip install {packages}\noptions-bt run {job.name}.yaml\n"
    versions = pl.DataFrame({"package": list(info.versions), "version": list(info.versions.values())})
    fingerprints = pl.DataFrame(
        list(info.fingerprints.items()), {"symbol": pl.String, "fingerprint": pl.String}, orient="row"
    )
    parts = (
        Text(f"{job.name}.yaml", written_job(job), open=True),
        Text("Commands", commands, open=True),
        frame_table("Versions", versions),
        frame_table("Fingerprints of the data", fingerprints, folded=True),
    )
    return Section("reproduce", "How to reproduce it", paragraphs, parts)
