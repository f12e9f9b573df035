"""What a network loses, class by class, without the capacity that its method reserved for the minority.

The reserve is what `model/` has more than `model-general/`: BA in CM's W = Wg + BA (Hong et al., ICLR 2026, Eq. 1). The
paper: without it the minority suffers most. An independent study: all suffer alike, and little, and a random reserve of
the same spectrum makes up for a part.

A part of the reserve is its largest singular directions, not all of it made smaller: rank is what CM reserves and what
Theorem 3.1 counts, and no other matrices of that rank are as near to the whole (Eckart and Young, 1936).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from ltgen_bench.diffusion.denoiser import Denoiser
from ltgen_bench.probes.specs import ReserveSpec
from ltgen_bench.probes.subject import Subject
from ltgen_bench.probes.variants import BASE, Report, Variants
from ltgen_bench.probes.work_folder import WorkFolder
from ltgen_bench.rng import generator

NONE = "without"


class Spectrum(NamedTuple):
    """The reserve of a layer, (m, n) = left diag(values) right, without the directions that are mere rounding."""

    left: Tensor  # (m, rank)
    values: Tensor  # (rank,), falling
    right: Tensor  # (rank, n)

    def part(self, share: float) -> Tensor:
        """(m, n): its largest directions, this share of their number."""
        kept = round(share * len(self.values))
        return self.left[:, :kept] * self.values[:kept] @ self.right[:kept]

    def random(self, rng: torch.Generator) -> Tensor:
        """(m, n), of the same singular values, with singular vectors of uniformly random direction (Haar measure)."""
        left, right = (_orthonormal(n, len(self.values), rng) for n in (len(self.left), self.right.shape[1]))
        return left * self.values @ right.T


def measure(subject: Subject, spec: ReserveSpec, work: WorkFolder, report: Report) -> dict[str, Any]:
    """{"losses": as `Variants.losses`, "scores": as `Variants.scores`, if asked for, "layers", "rank", "strength": norm
    of the reserve over that of the weights it is in, "energy": {part: share of its square that is kept}}.

    Variants: "without", "25%" and so on for parts, "random 1" and so on.
    """
    net, prior = subject.network()
    general = subject.general_network().state_dict()
    full = net.state_dict()
    spectra = reserve(full, general)
    shares = {f"{100 * share:g}%": share for share in spec.shares}
    draws = {f"random {number}": number for number in range(1, spec.random + 1)}

    def make(name: str) -> Denoiser:
        if name == BASE:
            return subject.network()[0]
        net = subject.general_network()
        state = net.state_dict()
        for layer, spectrum in spectra.items():
            if name in shares:
                state[layer] += spectrum.part(shares[name]).view_as(state[layer]).to(subject.device)
            elif name in draws:
                rng = generator("cpu", spec.loss.seed, "probe", "random reserve", draws[name], layer)
                state[layer] += spectrum.random(rng).view_as(state[layer]).to(subject.device)
        return net

    variants = Variants(subject, work, (NONE, *shares, *draws), make, prior, report)
    found: dict[str, Any] = {"losses": variants.losses(spec.loss)}
    if spec.eval is not None:
        found["scores"] = variants.scores(spec.eval)
    squares = [spectrum.values.square() for spectrum in spectra.values()]
    whole = sum(float(square.sum()) for square in squares)
    weights = sum(float(full[layer].double().square().sum()) for layer in spectra)
    return found | {
        "layers": len(spectra),
        "rank": sum(map(len, squares)),
        "strength": (whole / weights) ** 0.5 if weights else 0.0,
        "energy": {
            name: sum(float(square[: round(share * len(square))].sum()) for square in squares) / whole if whole else 0.0
            for name, share in shares.items()
        },
    }


@torch.no_grad()
def reserve(full: dict[str, Tensor], general: dict[str, Tensor]) -> dict[str, Spectrum]:
    """The spectrum of full - general by the name of the weight, where there is a difference.

    A convolution's weight (out, in, k, k) counts as the matrix (out k, in k) of the same numbers in the same order, as
    in CM's released code, where BA has this shape and therefore a low rank. What has one dimension counts as a row.
    """
    found = {}
    for name, weight in full.items():
        difference = weight.cpu().double() - general[name].cpu().double()
        left, values, right = torch.linalg.svd(_matrix(difference), full_matrices=False)
        # The difference of two rounded numbers has every direction, of the size of what was rounded.
        rank = int((values > torch.finfo(weight.dtype).eps * weight.double().norm()).sum())
        if rank:
            found[name] = Spectrum(left[:, :rank], values[:rank], right[:rank])
    return found


def _matrix(weight: Tensor) -> Tensor:
    if weight.ndim == 4:
        out, _, k, _ = weight.shape
        return weight.reshape(out * k, -1)
    return weight.reshape(-1, weight.shape[-1]) if weight.ndim > 1 else weight.reshape(1, -1)


def _orthonormal(n: int, rank: int, rng: torch.Generator) -> Tensor:
    """(n, rank) with orthonormal columns, uniformly distributed: of a normal matrix, with the signs that make the QR
    decomposition unique (Mezzadri, 2007)."""
    q, r = torch.linalg.qr(torch.randn((n, rank), generator=rng, dtype=torch.float64))
    signed: Tensor = q * r.diagonal().sign()
    return signed
