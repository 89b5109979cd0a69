"""Commands about the cached data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from options_bt.cli.options import CACHE, QUIET, Examples, log_to_console_by, takes_job

if TYPE_CHECKING:
    from options_bt.job.schema import JobFile


@click.group()
def data() -> None:
    """Pull, list and verify the cached data."""


@data.command("pull", cls=Examples, epilog="options-bt data pull jobs/grid.yaml --symbol SPY")
@takes_job
@QUIET
@CACHE
def data_pull(job: JobFile, quiet: bool, cache: Path) -> None:
    """Pull the data that JOBFILE needs and the cache lacks, and build its markets."""
    log_to_console_by(quiet, verbose=False)
    from options_bt.runner.run import pull_job

    pull_job(job, cache, shown=not quiet)


@data.command("ls", cls=Examples, epilog="options-bt data ls")
@CACHE
def data_ls(cache: Path) -> None:
    """List the cached data: sources, symbols, years, quotes and bytes."""
    from options_bt.analysis.formatting import text_table
    from options_bt.data.inventory import cached_data

    click.echo(text_table(cached_data(cache)), nl=False)


@data.command("verify", cls=Examples, epilog="options-bt data verify")
@CACHE
def data_verify(cache: Path) -> None:
    """Check every cached file against its checksum, and list the damaged ones, which the next pull replaces."""
    from options_bt.analysis.formatting import counted
    from options_bt.data.inventory import verified

    files, markets, damaged = verified(cache)
    for path, fault in damaged:
        click.echo(f"{path} {fault}")
    repair = "; the next pull replaces them" if damaged else ""
    checked = f"{counted(files, 'file')} and {counted(markets, 'built market')}"
    click.echo(f"{checked} checked, {len(damaged)} damaged{repair}")
    raise SystemExit(int(bool(damaged)))


@data.command("coverage", cls=Examples, epilog="options-bt data coverage SPY")
@click.argument("symbol")
@click.option("--source", metavar="NAME", help="Only this source, as named by `data ls`; all by default.")
@CACHE
def data_coverage(symbol: str, source: str | None, cache: Path) -> None:
    """Show how dense the cached chain of SYMBOL is: days, expirations, strikes, vanishing contracts, gaps.

    stay_pct is the share of the quote days from a contract's first quote to its expiration on which it is quoted;
    end_pct is the share of contracts quoted on the last of these days.
    """
    from options_bt.analysis.formatting import text_table
    from options_bt.data.coverage import cached_coverage

    for coverage in cached_coverage(cache, symbol, source):
        click.echo(f"{coverage.heading}\n")
        for title, table in coverage.tables.items():
            click.echo(f"{title}\n{text_table(table)}")


@data.command("check", cls=Examples, epilog="options-bt data check SPY")
@click.argument("symbol")
@click.option("--source", metavar="NAME", help="Only this source, as named by `data ls`; all by default.")
@CACHE
def data_check(symbol: str, source: str | None, cache: Path) -> None:
    """Show what is wrong with the cached data of SYMBOL: dropped rows, and quotes that cannot be true.

    Prints a table of all rules, then up to three dated examples of each broken rule.
    """
    from options_bt.analysis.formatting import text_table
    from options_bt.data.cache.reading import cached_manifests, cached_symbol
    from options_bt.data.check import findings, findings_table, heading

    for store, manifest in cached_manifests(cache, symbol, source):
        found = findings(cached_symbol(store, manifest))
        click.echo(f"{heading(manifest)}\n\n{text_table(findings_table(found))}")
        for finding in found:
            if finding.broken:
                click.echo(f"{finding.rule}: {finding.meaning}\n{text_table(finding.examples)}")
