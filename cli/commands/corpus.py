"""`maskbench corpus`: which corpora there are, what one looks like, and its pairs as a file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maskbench.text import sanitize

from ..options import Plugins, Quick
from ..output_files import refuse_output, save_output
from ..terminal import glyphs, print_stripped

if TYPE_CHECKING:
    from maskbench.config.schema.experiment import CorpusConfig, Experiment
    from maskbench.data.corpus import Corpus, Split


def corpus(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]",
            help="A corpus, or an experiment file, whose corpus is meant.",
            show_default="all corpora",
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            "-s",
            metavar="KEY=VALUE",
            help="An option of the corpus, or a setting of the file; may be repeated.",
            show_default=False,
        ),
    ] = None,
    panel: Annotated[
        str | None,
        typer.Option(metavar="PANEL", help="Which panel of the file.", show_default="the first"),
    ] = None,
    quick: Quick = False,
    split: Annotated[
        str | None,
        typer.Option(metavar="SPLIT", help="Only this split.", show_default="all; samples of test"),
    ] = None,
    samples: Annotated[int, typer.Option(min=0, max=1000, help="How many pairs to show.")] = 5,
    seed: Annotated[
        int | None,
        typer.Option(min=0, help="Show pairs drawn with this seed.", show_default="the first pairs"),
    ] = None,
    export: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the pairs to a new .tsv, .jsonl, .tsv.gz or .jsonl.gz file.",
            show_default=False,
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Let --export replace a file.")] = False,
    options: Annotated[
        bool, typer.Option("--options", help="Explain the options of the corpus; build nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print numbers, or the list, as JSON.")] = False,
    plugins: Plugins = None,
) -> None:
    """List the corpora, show pairs of one with their alignment and its numbers, or write it to a file."""
    from ..loading import hint_at_plugins

    _fill_registry(name, plugins or [])
    if name is None:
        _list(bool(settings or split or export), as_json)
        return
    if options:
        _explain(name, as_json)
        return
    if export is not None:
        _refuse_to_write(export, split, force)
    with hint_at_plugins():
        config = _configured(name, settings or [], panel, quick, plugins or [])
    shown = _checked_split(config, split)
    built = _built(config)
    if export is not None:
        _export(built, export, split)
    if as_json:
        _print_json(built, config, split)
    elif export is None:
        indices = _chosen(built.splits[shown], samples, seed)
        _show(built, shown, None if split is None else [split], indices)


def _fill_registry(name: str | None, plugins: Sequence[Path]) -> None:
    """Register the corpora; load plug-ins only where they are needed, because that imports torch."""
    # Importing the package enters its own corpora.
    import maskbench.data  # noqa: F401
    from maskbench.registry import CORPORA, find_installed_plugins

    if plugins or (name not in CORPORA and find_installed_plugins()):
        from maskbench.plugins import load_plugins

        load_plugins(plugins)


def _list(asks_for_one: bool, as_json: bool) -> None:
    from maskbench.data.catalogue import list_corpora
    from maskbench.errors import ConfigError

    if asks_for_one:
        raise ConfigError(
            "--set, --split and --export are about one corpus: name it, as in `maskbench corpus copy`"
        )
    if as_json:
        typer.echo(json.dumps([entry.to_json() for entry in list_corpora()], indent=2, ensure_ascii=False))
        return

    from ..views.corpus_table import corpus_list

    print_stripped(corpus_list(list_corpora()))


def _explain(name: str, as_json: bool) -> None:
    from maskbench.data.catalogue import describe_corpus

    entry = describe_corpus(name)
    if as_json:
        typer.echo(json.dumps([entry.to_json()], indent=2, ensure_ascii=False))
        return

    from ..views.corpus_table import corpus_description

    print_stripped(corpus_description(entry, glyphs()))


def _refuse_to_write(path: Path, split: str | None, force: bool) -> None:
    """Refuse a file that cannot be written, that would be lost, or that would mix splits, before anything is built."""
    from maskbench.errors import ConfigError

    ending = path.name.lower().removesuffix(".gz").rpartition(".")[2]
    if ending not in ("tsv", "jsonl"):
        raise ConfigError(
            f"--export {path}: the file's name must end in .tsv or .jsonl, or in one of them and .gz"
        )
    if ending == "tsv" and split is None:
        raise ConfigError(
            f"--export {path}: a table does not say which split a pair is of; name one with --split, or write .jsonl"
        )
    if path.is_dir() or (path.exists() and not force):
        advice = "give another name" if path.is_dir() else "give another name, or --force to replace it"
        raise ConfigError(
            f"--export {path}: there is such a {'folder' if path.is_dir() else 'file'} already; {advice}"
        )
    if not path.absolute().parent.is_dir():
        raise ConfigError(f"--export {path}: there is no folder {path.parent}")
    refuse_output(path)


def _configured(
    name: str, settings: list[str], panel: str | None, quick: bool, plugins: Sequence[Path]
) -> CorpusConfig:
    """Return the configuration of the corpus that `name` stands for."""
    from maskbench.data.catalogue import parse_corpus_config
    from maskbench.errors import ConfigError
    from maskbench.registry import CORPORA, did_you_mean

    if name in CORPORA.names():
        if panel is not None or quick:
            raise ConfigError("--panel and --quick are for experiment files")
        return parse_corpus_config(name, settings)
    if Path(name).suffix not in (".yaml", ".yml") and not Path(name).exists():
        known = ", ".join(CORPORA.names())
        raise ConfigError(
            f"no corpus named {name!r}{did_you_mean(name, CORPORA.names())} (known: {known}; or name an experiment file)"
        )

    from ..loading import load

    return _of_panel(load(Path(name), settings, quick=quick, plugins=plugins), panel)


def _of_panel(experiment: Experiment, wanted: str | None) -> CorpusConfig:
    from maskbench.errors import ConfigError
    from maskbench.registry import did_you_mean

    found = {panel.name: panel.arms[0].config.corpus for panel in experiment.panels}
    if wanted is None:
        first = next(iter(found))
        if any(corpus != found[first] for corpus in found.values()):
            typer.echo(f"the corpus of panel {first}; --panel shows another panel's", err=True)
        return found[first]
    names = [name for name in found if name is not None]
    if wanted not in names:
        known = f"panels: {', '.join(names)}" if names else "the file has no panels"
        raise ConfigError(f"--panel: no panel named {wanted!r}{did_you_mean(wanted, names)} ({known})")
    return found[wanted]


def _checked_split(config: CorpusConfig, wanted: str | None) -> str:
    """Return the split to show pairs of, and refuse one that will not be there, before anything is built."""
    from maskbench.data.corpora.nested_corpus import main_test_split
    from maskbench.errors import ConfigError
    from maskbench.registry import CORPORA, did_you_mean

    builder = CORPORA.lookup(config.name)
    evaluated = builder.split_names(builder.Options.model_validate(config.options))
    names = ["train", *evaluated]
    if wanted is not None and wanted not in names:
        hint = did_you_mean(wanted, names)
        raise ConfigError(
            f"--split: the corpus {config.name} has no split {wanted!r}{hint} (splits: {', '.join(names)})"
        )
    return wanted or main_test_split(evaluated)


def _built(config: CorpusConfig) -> Corpus:
    """Build the corpus in memory, without a cache file."""
    from maskbench.registry import CORPORA

    builder = CORPORA.lookup(config.name)
    built: Corpus = builder.build(builder.Options.model_validate(config.options))
    return built


def _chosen(split: Split, samples: int, seed: int | None) -> list[int]:
    """Return the indices of the pairs to show."""
    from maskbench.randomness import Key, permutation

    if seed is None:
        return list(range(min(samples, len(split))))
    return sorted(permutation(Key.of(seed, "samples", split.name), len(split))[:samples].tolist())


def _export(built: Corpus, path: Path, split: str | None) -> None:
    import gzip

    from maskbench.data.export import format_json_lines, format_table

    splits = list(built.splits.values()) if split is None else [built.splits[split]]
    name = path.name.lower()
    is_table = name.removesuffix(".gz").endswith(".tsv")
    data = (format_table(splits[0]) if is_table else format_json_lines(splits, built.tags)).encode("utf-8")
    # Without the time of day, so that the same corpus is the same file.
    save_output(gzip.compress(data, mtime=0) if name.endswith(".gz") else data, path)
    pairs = sum(map(len, splits))
    typer.echo(sanitize(f"saved {pairs:,} pairs of {split or f'{len(splits)} splits'} in {path}"), err=True)


def _print_json(built: Corpus, config: CorpusConfig, split: str | None) -> None:
    from maskbench.data.statistics import compute_statistics

    found = compute_statistics(built, list(built.splits) if split is None else [split])
    document = {
        "corpus": config.name,
        "options": config.options,
        "sha256": built.sha256,
        "vocabulary_size": len(built.vocabulary),
        "max_length": built.max_length,
        "tags": list(built.tags),
        "notes": list(built.notes),
        "splits": {name: numbers.to_json() for name, numbers in found.items()},
        "overlaps": [asdict(one) for one in built.overlaps.counts if one.split in found],
    }
    # In ASCII: options and notes may hold names of files, and those may hold anything.
    typer.echo(json.dumps(document, indent=2))


def _show(built: Corpus, shown: str, only: list[str] | None, indices: Sequence[int]) -> None:
    from maskbench.data.statistics import compute_statistics

    from ..views.corpus_samples import sample, samples_heading
    from ..views.corpus_table import corpus_numbers

    signs = glyphs()
    found = compute_statistics(built, list(built.splits) if only is None else only)
    print_stripped(corpus_numbers(built, found, shown, signs))
    split = built.splits[shown]
    if indices:
        print_stripped(samples_heading(split, len(indices)))
    for index in indices:
        print_stripped(sample(split, index, built.tags, signs))
