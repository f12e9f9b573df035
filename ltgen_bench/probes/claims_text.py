"""What the papers claim of where capacity goes, what is reported of it, and what a small network cannot tell."""

from __future__ import annotations

HEAD = """\
# Where capacity goes: the papers' claims, checked

`ltgen-bench probe pruning|reserve|dominance RUN...` measures, `ltgen-bench probe page RUN...` adds what was measured
to `probes/` here and makes this page. Beside it: {pages}.

Means over seeds, ± half the width of their 95 % Student-t interval; differences are taken seed by seed, in brackets
their interval. "Not resolved": fewer than 3 seeds, or the interval holds 0. Every class of a group weighs the same.
The loss is the denoising loss that all methods share, of the averaged network, without dropout, at times from all of
0 to T, on the same images, noise and times for every run. Held-out images are those of the test set or, where there
is none, those of the reference that were not trained on. What the papers report comes from notes of the papers, as
far as those have it.
"""

CLAIMS = {
    "pruning": """\
## Majority classes take more of the network than they need: pruning hurts the minority

**Claim** (Hong et al., ICLR 2026): majority classes occupy parameters beyond their needs, and what is known
of the minority is pushed into unimportant ones. Removing the 10 % of parameters of smallest magnitude therefore
raises the minority's loss most, and CM narrows the difference.

**The paper reports:** at 10 % a relative change of the minority's loss far above the majority's under DDPM, and a
smaller difference under CM. The figures, the data set, the seeds and which parameters were pruned are not known to us;
reviewers of an earlier version asked for them.

**Others report:** nothing that is known to us.

**Here:**

{shown}

**Where this cannot tell.** Pruning is one picture of importance. On training images of a class of ten a memorised
image is what is lost; on held-out ones the network was never good, and a relative change is taken from a larger loss.
The loss is dominated by times at which labels matter little, so it may stay while samples change: `--score` samples.
A network as small as this one may have no capacity that the majority could do without.
""",
    "reserve": """\
## The reserve holds what the minority needs

**Claim** (Hong et al.): in W = Wg + BA the low-rank BA holds the minority's knowledge; without it
the minority suffers most.

**The paper reports** (CIFAR-100-LT, ratio 100, 300,000 steps): without BA the FID of the few-shot classes rises from
18.7 to 29.4 (27.2 in another note), of the medium ones from 13.0 to 14.9, of the many-shot ones from 11.7 to 11.9,
and overall from 7.5 to 13.7.

**An independent group reports** (60,000 steps, one seed, 10,000 images): 27.0 to 27.9 overall, many 35.3 to 36.3,
medium 35.1 to 36.1, few 43.1 to 43.8: a small effect that is not particular to the tail. Random rotations of BA with
the same spectrum recover part of it.

**Here** (without the reserve; with a part of it, its largest singular directions by number, as rank is what CM
reserves; with random singular vectors and the same singular values in its place):

{shown}

**Where this cannot tell.** Wg is never trained to denoise alone: CM only keeps its predictions near those of W. The
`random` rows show what another matrix of that size does, not what a training without a reserve would have given. A
small BA can do little either way: see its strength. The loss is not the distance that the paper reports: `--score`
gives that.
""",
    "dominance": """\
## The majority decides the updates

**Claim** (Hong et al., Theorem 2.1): under imbalance the majority decides the update of most parameters,
which shuts the minority out; a reserve gives it parameters of its own (Theorem 3.1).

**The paper reports** the theorems; measurements of gradients are not known to us. **Others report:** nothing that is
known to us.

**Here**, at the last step of training, from each class's mean gradient, with what is noise in their squares taken
off. *Sign*: share of parameters whose expected update has the sign that a group asks for; *where opposed*: of those
where majority and minority ask for opposite ones (1/2: nobody decides). *Progress*: how much a group's loss falls in
a small step along the update, as a share of its fall in the same step along its own gradient: below 0 the step hurts
it. A cosine can come out above 1 where noise is large.

{shown}

**Where this cannot tell.** Signs are taken of means that are known with noise, which pulls shares towards 1/2. Adam
does not step along the gradient, and methods change the loss: the update here is that of plain training. How far the
theorem's own assumptions hold in these gradients is in [theory.md](theory.md).
""",
}
"""By kind of probe."""
