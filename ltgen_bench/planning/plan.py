"""From what the user typed to the list of runs: methods x datasets x seeds, every setting resolved."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ltgen_bench import registry
from ltgen_bench._plugin_path import normal
from ltgen_bench.data.long_tail import LongTail
from ltgen_bench.errors import UsageError, unknown
from ltgen_bench.planning.checks import check_execution, check_guide, check_seeds, check_size, check_values
from ltgen_bench.planning.evaluations import USUAL, Evaluation, check_apart, eval_spec
from ltgen_bench.planning.snapshots import lengths
from ltgen_bench.runs.job import DataOptions, Execution, Job
from ltgen_bench.runs.run_folder import RunFolder
from ltgen_bench.runs.titles import told_apart
from ltgen_bench.scoring.scoring_code import scoring_code
from ltgen_bench.source_code import fingerprints
from ltgen_bench.spec.presets import PRESETS, RECIPES, SECTIONS, Preset, find
from ltgen_bench.spec.serialise import override
from ltgen_bench.spec.specs import (
    PROTOCOL,
    EvalSpec,
    MethodSpec,
    RunSpec,
    SamplingSpec,
)
from ltgen_bench.training.stack import Stack, describe, parse_methods


@dataclasses.dataclass(frozen=True)
class Request:
    """What the user typed. evaluations: of each run, which is trained once."""

    methods: Sequence[str]
    datasets: Sequence[str]
    seeds: Sequence[int] = (0,)
    preset: str | None = None
    settings: Sequence[str] = ()  # "section.name=value"
    features: str | None = None
    data: DataOptions = dataclasses.field(default_factory=DataOptions)
    execution: Execution = dataclasses.field(default_factory=Execution)
    on_gpu: bool | None = None  # where the runs will train; default: as on this machine
    again: bool = False  # whatever was made before is to be made again
    evaluations: Sequence[Evaluation] = USUAL
    snapshots: Sequence[int] = ()  # steps at which each training is evaluated besides its end


def plan(request: Request, runs: Path) -> list[Job]:
    """The runs of the grid, in order. Loads the datasets (for their hashes); trains nothing.

    Raises UsageError for anything unknown, missing or impossible, before any work is done.
    """
    on_cpu = check_execution(request.execution).type == "cpu" if request.on_gpu is None else not request.on_gpu
    check_seeds(request.seeds)
    settings = parse_settings(request.settings)
    stacks = _stacks(request, settings)
    jobs = []
    for name in dict.fromkeys(request.datasets):
        if "," in name:
            raise UsageError(f"--dataset {name}: give each its own, {_each('--dataset', name)}")
        kind, data_name = registry.dataset(name, f"--dataset {name}")
        preset_name = request.preset or kind.preset
        preset = resolve_preset(preset_name, settings, flip=kind.flip, on_cpu=on_cpu)
        data = request.data.named(data_name)
        data = dataclasses.replace(data, max_size=data.max_size or preset.max_size)
        loaded = data.open(kind).load()
        check_size(loaded.spec, preset)
        steps = lengths(request.snapshots, preset.train.steps)
        trains = [dataclasses.replace(preset.train, steps=n) for n in steps]
        of_all = Evaluation(settings.get("sample", {}), request.features, request.data.against)
        usual = Evaluation(features=preset.features)
        evals = [
            eval_spec(
                asked.within(of_all, usual),
                preset.sample,
                preset.diffusion,
                loaded,
                data,
                request.execution,
                request.seeds,
            )
            for asked in request.evaluations
        ]
        check_apart(request.evaluations, evals)
        scoring = {spec.features: scoring_code(spec.features) for spec in evals}
        for methods in [tuple(describe(m) for m in stack.methods) for stack in stacks]:
            codes = {spec.sample.sampler: _code(methods, loaded, spec.sample) for spec in evals}
            for seed, train, spec in itertools.product(dict.fromkeys(request.seeds), trains, evals):
                run = RunSpec(preset_name, loaded.spec, methods, preset.net, train, preset.diffusion, seed)
                run_folder, code = RunFolder.of(runs, run), codes[spec.sample.sampler]
                check_guide(spec.sample, run, run_folder, again=request.again)
                if not request.again:
                    run_folder.check_code(code)
                    run_folder.check_scored_with(spec.eval_id, scoring[spec.features])
                job = Job(str(run_folder.path), run, spec, data, request.execution, code=code)
                jobs.append(dataclasses.replace(job, from_start=request.again and train is trains[0]))
    return told_apart({job.key: job for job in jobs}.values())


def _stacks(request: Request, settings: Mapping[str, Mapping[str, str]]) -> list[Stack]:
    """The methods of the grid. Raises UsageError for one that is unknown, and for settings of none of them."""
    for text in request.methods:
        if "," in text:
            combined = "+".join(name.strip() for name in text.split(",") if name.strip())
            raise UsageError(f"--method {text}: combined they are {combined}, one by one {_each('--method', text)}")
    stacks = [parse_methods(text, settings) for text in request.methods]
    if not stacks or not request.datasets or not request.seeds:
        raise UsageError("a run needs at least one --method, one --dataset and one seed")
    used = {m.name for stack in stacks for m in stack.methods}
    for section, values in settings.items():
        if section not in used and section not in SECTIONS:
            where = f"--set {section}.{next(iter(values))}"
            if section in registry.methods().entries():
                raise UsageError(f"{where}: none of the methods to run is {section}")
            raise unknown("section", section, {*SECTIONS, *used}, where)
    return stacks


def _each(option: str, names: str) -> str:
    """`--dataset a --dataset b`, of "a,b"."""
    return " ".join(f"{option} {name.strip()}" for name in names.split(",") if name.strip())


def parse_settings(texts: Iterable[str]) -> dict[str, dict[str, str]]:
    """{"train": {"steps": "100"}} from ["train.steps=100"]."""
    found: dict[str, dict[str, str]] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        section, dot, name = normal(key.strip()).rpartition(".")
        if not (equals and dot and section and name):
            raise UsageError(f"--set {text}: write it as section.name=value, for example --set train.steps=1000")
        if name in found.setdefault(section, {}):
            raise UsageError(
                f"--set {section}.{name} is given twice, {found[section][name]} and {value.strip()}; keep one"
            )
        found[section][name] = value.strip()
    return found


def resolve_preset(name: str, settings: Mapping[str, Mapping[str, str]], *, flip: bool, on_cpu: bool = False) -> Preset:
    """A preset with the dataset's flip and the user's settings, but for sampling, which is of each evaluation.

    Raises UsageError for unknown names.

    A CPU trains in float32 unless told otherwise. As precision is part of a run's identity, such results stand apart.
    """
    preset = find(name)
    preset = dataclasses.replace(preset, train=dataclasses.replace(preset.train, flip=flip))
    if on_cpu:
        preset = dataclasses.replace(preset, train=dataclasses.replace(preset.train, precision="fp32"))
    parts = {s: override(getattr(preset, s), settings[s], s) for s in SECTIONS if s in settings and s != "sample"}
    preset = dataclasses.replace(preset, **parts)
    check_values(preset.net, preset.train, preset.diffusion)
    return preset


def rescore(
    run_folder: RunFolder,
    settings: Sequence[str],
    features: str | None,
    data: DataOptions,
    execution: Execution,
    evaluations: Sequence[Evaluation] = USUAL,
    *,
    again: bool = False,
) -> list[Job]:
    """The jobs that score a run with other features or sampling, the rest as in its first score.

    A run that is not trained to its end is trained on first. again: what was scored before is scored again. Raises
    UsageError.
    """
    check_execution(execution)
    run = run_folder.spec
    assert isinstance(run, RunSpec)
    if run.protocol != PROTOCOL and not (run_folder.model.exists() or run_folder.checkpoints()):
        raise UsageError(
            f"run {run.run_id} is of protocol {run.protocol} and was not begun; from its start this version trains by "
            f"protocol {PROTOCOL} only: give `run` what is wanted again"
        )
    found = parse_settings(settings)
    if wrong := [s for s in found if s != "sample"]:
        raise UsageError(f"--set {wrong[0]}...: a trained run can only change sample.* settings")
    data = dataclasses.replace(data, imbalance=run.dataset.imbalance, size=run.dataset.size)
    loaded = data.load(run.dataset.name)
    if loaded.spec != run.dataset:
        raise UsageError(f"the images of {run.dataset.name} here are not those that run {run.run_id} was trained on")
    usual, own_sample = _first_scoring(run_folder, run)
    of_all = Evaluation(found.get("sample", {}), features, data.against)
    if run.protocol == 1 and (chosen := [e for e in (of_all, *evaluations) if "precision" in e.sample]):
        raise UsageError(
            f"sample.precision={chosen[0].sample['precision']}: runs of protocol 1 sample in the precision of their "
            f"training, {run.train.precision}; leave it out"
        )
    evals = [
        eval_spec(asked.within(of_all, usual), own_sample, run.diffusion, loaded, data, execution, [run.seed])
        for asked in evaluations
    ]
    check_apart(evaluations, evals)
    jobs = []
    for spec in evals:
        code = _code(run.methods, loaded, spec.sample)
        run_folder.check_code(code)
        if not again:
            run_folder.check_scored_with(spec.eval_id, scoring_code(spec.features))
        check_guide(spec.sample, run, run_folder)
        jobs.append(Job(str(run_folder.path), run, spec, data, execution, code=code))
    return told_apart({job.key: job for job in jobs}.values())


def _code(methods: Iterable[MethodSpec], data: LongTail, sample: SamplingSpec) -> dict[str, str]:
    """Fingerprints of all code that makes the images."""
    return fingerprints((m.name for m in methods), data.spec.name, sample.sampler)


def _first_scoring(run_folder: RunFolder, run: RunSpec) -> tuple[Evaluation, SamplingSpec]:
    """Features with reference, and sampling of a run's first score; of its preset, when it has no score yet."""
    first = run_folder.first_eval()
    if isinstance(first, EvalSpec):
        return Evaluation(features=first.features, against=first.reference), first.sample
    preset = (PRESETS | RECIPES).get(run.preset, PRESETS["paper"])
    return Evaluation(features=preset.features), preset.sample
