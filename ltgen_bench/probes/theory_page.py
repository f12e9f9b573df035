"""The page on CM's theorems: formulas beside what is drawn, in a picture and in tables."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from tabulate import tabulate

from ltgen_bench.leaderboard.pages.markdown import folded
from ltgen_bench.leaderboard.pages.page_file import own_words
from ltgen_bench.leaderboard.rows import MISSING
from ltgen_bench.probes import theory
from ltgen_bench.probes.pictures.of_theory import PLAIN, RANKS, RESERVE, SHAPE, Rank, draw
from ltgen_bench.probes.probe_file import ProbeFile
from ltgen_bench.probes.tables import cosine
from ltgen_bench.probes.theory_measured import Assessment
from ltgen_bench.probes.theory_simulation import Setup, Share, nearest, scalars, serves_more
from ltgen_bench.storage.atomic_files import write_text

HIDDEN = "hidden in noise"
MANY = 40_000
"""Parameters drawn for each line of the tables."""


def write_page(folder: Path, measured: Sequence[tuple[str, Assessment]] = ()) -> list[Path]:
    """theory.md and theory.png in a folder; the paths. The same bytes each time.

    measured: of networks' own gradients, each with what it is of. What stands in reading-theory.md, if it is there, is
    put before it.
    """
    own = [words] if (words := own_words(folder, "theory")) else []
    ranks = [Rank.drawn_from(rank) for rank in RANKS]
    picture, page = folder / "theory.png", folder / "theory.md"
    draw(picture, ranks)
    text = TEXT.format(
        base=_base(PLAIN),
        departures=_table(DEPARTURES, _departures()),
        reserve_base=_base(RESERVE, without="cos"),
        shape="{} x {}".format(*SHAPE),
        reserve=_table(("rank", "rho", "alpha", "Theorem 3.1", "expected at this a", "drawn"), map(_rank_row, ranks)),
        measured="\n\n".join([*own, measured_tables(measured)]),
    )
    write_text(page, text)
    return [page, picture]


def _formula(setup: Setup) -> float:
    return float(theory.theorem_2_1(setup.a, setup.mu, setup.sigma, setup.n, setup.cos))


DEPARTURES = ("what differs", "Theorem 2.1, filled in as it stands", "what holds instead", "gives", "drawn")


def _departures() -> list[tuple[str, ...]]:
    """Where the assumptions do not hold: the formula, what is to be put in its place, and what is drawn."""
    longer, uneven = dataclasses.replace(PLAIN, norm_ratio=2.0), dataclasses.replace(PLAIN, sigma_ratio=3.0)
    first, second = longer.means
    apart = float(np.linalg.norm(first - second))
    a, n, sigma, cos = PLAIN.a, PLAIN.n, PLAIN.sigma, PLAIN.cos
    lead = a * first @ first - (1 - a) * second @ second + (1 - 2 * a) * first @ second
    serves = float(theory.decided(1.0, 2 * lead / apart, sigma, n))
    across = dataclasses.replace(PLAIN, elsewhere=5.0)
    mean_noise = sigma * math.sqrt((1 + (across.size - 1) * across.elsewhere**2) / across.size)
    heavy = dataclasses.replace(PLAIN, noise="heavy", n=4, sigma=1.5)
    drawn = dataclasses.replace(PLAIN, fixed=False, n=4, sigma=0.75)
    with_draw = math.sqrt(drawn.sigma**2 + a * (1 - a) * 2)
    pooled = sigma * math.sqrt(a + (1 - a) * uneven.sigma_ratio**2)
    of = (a, PLAIN.mu, sigma, n, cos)
    near, signs = scalars(PLAIN, MANY, 20)
    rows: list[tuple[str, float, str, float, Share]] = [
        ("nothing", _formula(PLAIN), "", _formula(PLAIN), nearest(PLAIN, MANY, 11)),
        (
            "the minority's mean is twice as long",
            _formula(longer),
            "mu sqrt(2 (1 - cos)) → \\|m1 - m2\\|",
            float(theory.decided(a, apart, sigma, n)),
            nearest(longer, MANY, 12),
        ),
        (
            "the same; the class whose loss falls more decides",
            _formula(longer),
            "Phi(sqrt(N) (a m1² - (1 - a) m2² + (1 - 2a) m1·m2) / (sigma \\|m1 - m2\\|))",
            serves,
            serves_more(longer, MANY, 13),
        ),
        (
            "the minority's noise is three times as large",
            _formula(uneven),
            "sigma² → a sigma1² + (1 - a) sigma2²",
            _formula(dataclasses.replace(uneven, sigma=pooled)),
            nearest(uneven, MANY, 14),
        ),
        (
            "noise across m1 - m2 five times that along it",
            _formula(dataclasses.replace(across, sigma=mean_noise)),
            "sigma: the noise along m1 - m2, not its mean over directions",
            _formula(across),
            nearest(across, MANY, 15),
        ),
        (
            f"heavy tails (Student's t, 3 degrees of freedom), N = {heavy.n}, sigma = {heavy.sigma:g}",
            _formula(heavy),
            "no closed form; the formula as N grows",
            _formula(heavy),
            nearest(heavy, MANY, 16),
        ),
        (
            f"each image drawn with probability a, N = {drawn.n}, sigma = {drawn.sigma:g}",
            _formula(drawn),
            "sigma² → sigma² + a (1 - a) \\|m1 - m2\\|², roughly",
            _formula(dataclasses.replace(drawn, sigma=with_draw)),
            nearest(drawn, MANY, 17),
        ),
        (
            "numbers, each with normal means of its own",
            _formula(PLAIN),
            "1/2 + arctan(x) / pi, with Phi(x) Theorem 2.1",
            theory.scalar_share(*of),
            near,
        ),
        (
            "the same; agreement in sign with m1",
            _formula(PLAIN),
            "1/2 + arcsin(correlation of G and m1) / pi",
            theory.sign_share(*of),
            signs,
        ),
    ]
    return [(what, f"{f:.3f}", instead, f"{v:.3f}", _shown(share)) for what, f, instead, v, share in rows]


def _shown(share: Share) -> str:
    return f"{share.value:.3f} ± {share.se:.3f}"


def _rank_row(row: Rank) -> tuple[str, ...]:
    numbers = (row.rho, float(theory.alpha(row.rho)), row.bound, row.expected)
    return (str(row.rank), *(f"{v:.3f}" for v in numbers), _shown(row.drawn))


def _table(headers: Sequence[str], rows: Sequence[Sequence[str]] | map[tuple[str, ...]]) -> str:
    return str(tabulate(list(rows), headers, tablefmt="pipe", disable_numparse=True))


def _base(setup: Setup, without: str = "") -> str:
    values = {"a": setup.a, "N": setup.n, "cos": setup.cos, "mu": setup.mu, "sigma": setup.sigma}
    return ", ".join(f"{name} = {value:g}" for name, value in values.items() if name != without)


def measured_of(probes: Iterable[ProbeFile]) -> list[tuple[str, Assessment]]:
    """What dominance probes measured of networks' own gradients, each with what it is of."""
    found = [(p.title, p.result["theory"]) for p in probes if p.spec.kind == "dominance"]
    return [(title, Assessment(**theory)) for title, theory in found if "why" not in theory]


def measured_tables(measured: Sequence[tuple[str, Assessment]]) -> str:
    """What the assumptions come to, and the shares beside what was counted."""
    if not measured:
        return "Nothing was measured yet."
    quantities = (
        *("", "mu / sigma, majority", "minority", "cos", "scaled: mu / sigma, majority", "minority", "cos"),
        *("kurtosis", "of means", "noise spread"),
    )
    shares = ("", "N", "a", "Theorem 2.1", "scaled", "numbers", "counted", "sign", "counted", "where opposed")
    return folded(
        "Every run",
        _table(quantities, [(what, *_quantities(found)) for what, found in measured]),
        _table(shares, [(what, *_shares(found)) for what, found in measured]),
    )


def _quantities(found: Assessment) -> tuple[str, ...]:
    relative = [
        None if mu is None else mu / sigma
        for mu, sigma in ((found.mu_majority, found.sigma_majority), (found.mu_minority, found.sigma_minority))
    ]
    return (
        *map(_known, relative),
        _cosine(found.cos, found.cos_se),
        *map(_known, (found.snr_majority, found.snr_minority)),
        _cosine(found.cos_scaled, found.cos_scaled_se),
        f"{found.kurtosis_majority:.0f}, {found.kurtosis_minority:.0f}",
        f"{found.means_kurtosis:.0f}",
        f"{found.noise_spread:.1f}",
    )


def _shares(found: Assessment) -> tuple[str, ...]:
    return (
        str(found.n),
        *map(_known, (found.a, found.formula, found.scaled, found.scalar)),
        f"{found.nearest:.3f} ± {found.nearest_se:.3f}",
        _known(found.sign),
        f"{found.agreement:.3f} ± {found.agreement_se:.3f}",
        MISSING if found.agreement_opposed is None else f"{found.agreement_opposed:.3f}",
    )


def _known(value: float | None) -> str:
    return HIDDEN if value is None else f"{value:.3f}"


def _cosine(value: float | None, error: float | None) -> str:
    return HIDDEN if value is None else cosine(value, error)


TEXT = """\
# CM's theorems, checked numerically

`ltgen-bench probe theory` makes this page; `tests/test_theory.py` holds its mathematics. No network is trained for it.

CM (Hong et al., ICLR 2026) states two theorems on who decides a parameter's update when a batch mixes a majority and a
minority. Their proofs were not available to us, so what follows is our own derivation of the formulas. It shows what
they say when they are read in the way that needs the fewest assumptions, and what they do not say.

## Theorem 2.1

The share of parameters whose update the majority decides is

    Phi((2a - 1) mu sqrt(2 N (1 - cos)) / (2 sigma)),

a: the majority's share of the batch's N images, mu: norm of both classes' mean gradients, cos: their cosine, sigma:
standard deviation of one image's gradient.

**Set-up that gives it to the letter.** G is the mean of the batch's gradients, of a parameter or of a block of any
size. *The majority decides* means that G is nearer to the majority's mean m1 than to the minority's, m2:
(G - (m1 + m2)/2) · (m1 - m2) > 0. The left side has mean (2a - 1)/2 · |m1 - m2|² and standard deviation
sigma |m1 - m2| / sqrt(N), and |m1 - m2| = mu sqrt(2 (1 - cos)) for two means of one norm.

**Assumed:** (1) the images of a batch are independent, and it holds the majority's share exactly; (2) the noise along
m1 - m2 is normal and alike in both classes; (3) both means have the same norm; (4) "share of parameters" is that
probability, so all parameters have the same mu, cos and sigma. What the noise does in other directions does not matter.

**Other readings of the same formula:** the step lowers the majority's loss by more than the minority's, G · m1 > G · m2
(needs 3 anyway); the batch is more likely under the majority than under the minority (needs noise alike in every
direction); G has the sign of m1, for numbers with m2 = -m1 (cos = -1).

**It is not** the share of parameters whose update has the majority's sign, which can be counted in a network: where
both classes want the same (cos = 1) all signs agree, and the formula says 1/2, as there is nothing to decide.

![Formulas and draws](theory.png)

Lines: formulas. Dots: gradients drawn at random, with two standard errors. Below, right: Theorem 3.1. Elsewhere
{base}, unless a panel says otherwise.

### Where its assumptions do not hold

{base}, unless the line says otherwise.

{departures}

Three of these matter for real networks. Means of unequal norm: a small class whose images are not fitted yet has long
gradients, and then it can win steps against many more images of a majority that is. Parameters that differ: Phi is
concave above 1/2, so that the formula with the root mean square of |m1 - m2| / sigma is an upper bound of the share
(numbers with normal means: the line with the arctan); with root mean squares of each it is not even that. And noise is
counted along one direction, m1 - m2: filling in its size per parameter presumes that it is alike in all.

## Theorem 3.1

With a reserve of rank r, (2a - 1) of the bound becomes (1 - alpha_r), and alpha_r grows with r. What alpha_r is in the
paper, and what its proof assumes, could not be derived. **This is a set-up of ours with that form:** a share rho of
|m1 - m2|² lies in the directions that the reserve can move in, and there the majority's share of what moves the weight
is a_r in place of a (0 when it is kept out altogether), with the noise as before. Then 2a - 1 becomes
(2a - 1)(1 - rho) + (2 a_r - 1) rho, which for any a is at most 1 - alpha_r with

    alpha_r = 2 (1 - a_r) rho.

For a weight of d x k and a difference m1 - m2 without preference, rho = r (d + k - r) / (d k), the share of directions
that BA can move in: it grows with r up to 1. So do alpha_r and what the minority gets. The bound says more than Theorem
2.1 only where alpha_r > 2 (1 - a): at a = 0.99 from alpha_r = 0.02 on, at a = 0.75 not below 0.5. That the noise in the
reserve stays, and that the loss keeps the majority out of it, are assumptions; whether CM's loss does the second is
what `probe dominance` and `probe reserve` measure.

Weights of {shape}, a_r = 0, {reserve_base}:

{reserve}

## In a network's own gradients

{measured}

First table, what is assumed: mu and sigma are root mean squares over the parameters; mu and cos are without the bias
that noise adds, and cos has its standard error over the images (jackknife); ≥ 1: noise carries the estimate beyond
what can be. *scaled*: with each parameter in units of its own noise, so that sigma is 1. Equal norms: mu / sigma alike
in both groups. *kurtosis*: excess, of a parameter's gradient over the images, majority and minority (0 if normal); *of
means*: of the majority's scaled mean over the parameters (0 if normal, as *numbers* assumes). *noise spread*: standard
deviation over mean of the parameters' noise variance (0 if alike in all).

Second table: *Theorem 2.1* is filled in with the first figures as they stand, *scaled* with the scaled ones: an upper
bound of the share (above). *numbers* is the share for normal means, from the scaled ones and to the precision that the
means are known with. Beside it what was counted in batches of other images: parameters whose gradient is nearer to the
majority's mean than to the minority's, and then those with the majority's sign; *where opposed*: the latter, of the
parameters in which the two means have opposite signs.
"""
