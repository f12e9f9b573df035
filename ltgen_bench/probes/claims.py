"""What probes of several runs say together: means over seeds, and majority beside minority seed by seed."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from ltgen_bench.leaderboard.board import BASELINE
from ltgen_bench.leaderboard.paired import SEEDS, Paired, mean_and_interval
from ltgen_bench.leaderboard.rows import MISSING
from ltgen_bench.probes.probe_file import ProbeFile
from ltgen_bench.probes.tables import summarised
from ltgen_bench.spec.serialise import digest, identity, to_json

GROUPS = ("majority", "medium", "minority")
BySeed = dict[int, float]
Figure = Callable[[ProbeFile, str], float | None]
"""Of a probe's file and a group."""


@dataclass(frozen=True)
class Row:
    """A configuration, with each group's figure at each seed. more: what tells rows of one configuration apart."""

    label: str
    more: str
    groups: Mapping[str, BySeed]

    @property
    def name(self) -> str:
        return self.label + self.more

    @property
    def seeds(self) -> list[int]:
        return sorted(set().union(*self.groups.values()))

    @property
    def gap(self) -> Paired | None:
        """Minority less majority; None where no seed has both."""
        return beside(self.groups.get("minority", {}), self.groups.get("majority", {}))

    @property
    def gaps(self) -> BySeed:
        return self.gap.differences if self.gap else {}


@dataclass(frozen=True)
class Section:
    """Probes that may stand in one table: alike in all but method, seed and length of the training.

    key: of what they have in common.
    """

    key: str
    probes: tuple[ProbeFile, ...]

    @property
    def title(self) -> str:
        """`digitslt, ratio 20, 8x8, network 32-64, 3,000 steps of 64`."""
        run = self.probes[0].run
        data, steps = run.dataset, sorted({probe.run.train.steps for probe in self.probes})
        ratio = "images as they come" if data.imbalance is None else f"ratio {data.imbalance:g}"
        network = "-".join(map(str, run.net.channels))
        return (
            f"{data.name}, {ratio}, {data.size}x{data.size}, network {network}, "
            f"{' and '.join(f'{n:,}' for n in steps)} steps of {run.train.batch}"
        )

    def rows(self, figure: Figure, suffix: str = "") -> list[Row]:
        """A row for each configuration; the baseline first, then by name and number of steps."""
        several = len({probe.run.train.steps for probe in self.probes}) > 1
        found: dict[tuple[bool, str, int], dict[str, BySeed]] = {}
        for probe in self.probes:
            run = probe.run
            groups = found.setdefault((run.label != BASELINE, run.label, run.train.steps), {})
            for group in GROUPS:
                if (value := figure(probe, group)) is not None:
                    groups.setdefault(group, {})[run.seed] = value
        return [
            Row(label, f"{f', {steps:,} steps' if several else ''}{suffix}", groups)
            for (_, label, steps), groups in sorted(found.items())
            if groups
        ]


def sections(probes: Iterable[ProbeFile], kind: str) -> list[Section]:
    """Of one kind of probe, in order of the data set's name."""
    found: dict[tuple[str, str], list[ProbeFile]] = {}
    for probe in probes:
        if probe.spec.kind == kind:
            run = identity(probe.run)
            run = {name: value for name, value in run.items() if name not in ("methods", "seed")}
            run["train"] = {name: value for name, value in run["train"].items() if name != "steps"}
            key = digest({"run": run, "probe": probe.spec.id})
            found.setdefault((probe.run.dataset.name, key), []).append(probe)
    return [Section(key, tuple(sorted(of, key=lambda p: p.run.seed))) for (_, key), of in sorted(found.items())]


def change_of(part: str, variant: str) -> Figure:
    """Change of the loss in %, on a set of images."""

    def figure(probe: ProbeFile, group: str) -> float | None:
        change = summarised(probe.result["losses"].get(part, {"change": {}})["change"])
        value, _ = change.get(variant, {}).get(group, (None, None))
        return None if value is None else 100 * value

    return figure


def rise_of(part: str, variant: str) -> Figure:
    """Change of the loss itself, times 1,000: what a relative change is made of, where losses differ."""
    change = change_of(part, variant)

    def figure(probe: ProbeFile, group: str) -> float | None:
        share, loss = change(probe, group), probe.result["losses"].get(part, {}).get("loss", {}).get(group)
        return None if share is None or loss is None else 10 * share * float(loss["value"])

    return figure


def distance_of(metric: str, variant: str) -> Figure:
    """Change of a distance in %, from the trained network's; of several random variants the mean."""

    def figure(probe: ProbeFile, group: str) -> float | None:
        scores = probe.result.get("scores", {})
        of = [
            found[metric][group]["value"]
            for name, found in scores.items()
            if name.startswith(variant) and group in found.get(metric, {})
        ]
        if not of or (trained := float(scores["trained"][metric][group]["value"])) <= 0:
            return None
        return 100 * (statistics.fmean(of) / trained - 1)

    return figure


def gradient(name: str, scale: float = 1) -> Figure:
    """A figure of mean gradients; see `dominance.compare`. A cosine with itself, and a reserve that there is none of,
    are left out."""

    def figure(probe: ProbeFile, group: str) -> float | None:
        found = probe.result["scopes"].get(group, {}).get(name)
        itself, none = name == f"to_{group}", name == "reserve" and not probe.result["reserve"]
        return None if found is None or itself or none else scale * float(found)

    return figure


def beside(first: BySeed, second: BySeed) -> Paired | None:
    """The first less the second, seed by seed; larger counts as worse."""
    return Paired.at_common_seeds(first, second, "lower")


def mean(values: BySeed, decimals: int = 2) -> str:
    """The mean over seeds and half the width of its Student-t interval, of two seeds or more."""
    if not values:
        return MISSING
    middle, half = mean_and_interval(values.values())
    middle = round(middle, decimals) + 0  # never -0.00
    return f"{middle:.{decimals}f}" + ("" if half is None else f" ± {half:.{decimals}f}")


def difference(found: Paired | None, decimals: int = 2) -> str:
    """Mean [interval] of a difference."""
    if found is None:
        return MISSING
    text = f"{found.mean:+.{decimals}f}"
    if found.interval is None:
        return text
    low, high = found.interval
    return f"{text} [{low:+.{decimals}f}, {high:+.{decimals}f}]"


def reading(found: Paired | None, more: str, less: str) -> str:
    """What a difference says: `more` where it is above 0, `less` where it is below; at least SEEDS seeds are needed."""
    if found is None:
        return MISSING
    words = {"worse": more, "better": less, "not resolved": "not resolved"}[found.verdict]
    return words if found.n >= SEEDS else f"not resolved ({found.n} of at least {SEEDS} seeds)"


def described(probe: ProbeFile) -> str:
    """The settings of a probe, but for how images are scored."""
    settings = {name: value for name, value in to_json(probe.spec).items() if name != "eval"}
    flat = {**{k: v for k, v in settings.items() if not isinstance(v, dict)}, **settings.get("loss", {})}
    shown = {name: " ".join(f"{x:g}" for x in v) if isinstance(v, list) else v for name, v in flat.items()}
    return ", ".join(f"{name} {value}" for name, value in shown.items())


def variants_of(section: Section) -> Sequence[str]:
    """Of its networks, the random ones as one."""
    return list(dict.fromkeys(v for p in section.probes for v in summarised(p.result["losses"]["training"]["change"])))
