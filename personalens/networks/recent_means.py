"""Running means of what a user had lately, with the newest events weighing most."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

_WEIGHT_AT_START = 0.1


class RecentMeans(nn.Module):
    """Mix several running means of a sequence of vectors, each with a memory of its own length.

    With decay d the mean is m' = d m + (1 - d) x from m = 0: d = 0 is the last vector itself, and
    d = 0.95 looks back over some twenty of them. The mix has one learned weight for each mean.

    Parameters
    ----------
    decays
        One for each mean. Empty: a single mean of everything so far, in which all count alike.
    longest
        Steps for which the weights of all distances are laid out in advance; longer sequences work.

    Notes
    -----
    It is the simplest recurrence there is, and it reaches far: item vectors that start from
    co-occurrence make "near to what you had lately" a good recommendation before any training, and
    gradients pass through a mean unchanged. The gated recurrence beside it learns what an order or
    a pause means. A linear recurrence over a whole sequence is one matrix product with the lower
    triangular matrix of its decays (compare Fossil: He and McAuley, "Fusing Similarity Models with
    Markov Chains for Sparse Sequential Recommendation", ICDM 2016).

    Examples
    --------
    >>> means = RecentMeans([0.0, 0.5])
    >>> _ = nn.init.ones_(means.weights)
    >>> means(torch.tensor([1.0, 0.0, 0.0]).view(3, 1, 1)).flatten().tolist()
    [1.5, 0.25, 0.125]
    """

    def __init__(self, decays: Sequence[float], *, longest: int = 256):
        super().__init__()
        self.decays = tuple(decays)
        self.weights = nn.Parameter(torch.full((max(1, len(self.decays)),), _WEIGHT_AT_START))
        self.register_buffer("_kernels", self._lay_out(longest), persistent=False)

    def forward(self, vectors: Tensor) -> Tensor:
        """Return the mix at every step: (L, B, E) for vectors (L, B, E)."""
        kernel = torch.einsum("k,kts->ts", self.weights, self._kernels_for(len(vectors)))
        return (kernel @ vectors.flatten(1)).view_as(vectors)

    def each(self, vectors: Tensor) -> Tensor:
        """Return each of the means at every step, not mixed: (K, L, B, E)."""
        means = self._kernels_for(len(vectors)) @ vectors.flatten(1)
        return means.view(-1, *vectors.shape)

    def start(self, batch: int, width: int) -> Tensor:
        """Return the means before any event: (K + 1, B, E); the last entry counts events."""
        return self.weights.new_zeros(len(self.weights) + 1, batch, width)

    def read(self, state: Tensor, vectors: Tensor) -> Tensor:
        """Return the means after more vectors: state (K + 1, B, E), vectors (L, B, E)."""
        means, seen, more = state[:-1], state[-1:], len(vectors)
        newest = (self._kernels_for(more)[:, -1] @ vectors.flatten(1)).view_as(means)
        if self.decays:
            left = torch.tensor(self.decays).to(vectors).view(-1, 1, 1) ** more
            return torch.cat([left * means + newest, seen + more])
        return torch.cat([(seen * means + more * newest) / (seen + more), seen + more])

    def mix(self, state: Tensor) -> Tensor:
        """Return the mix of a state's means: (B, E)."""
        return torch.einsum("k,kbe->be", self.weights, state[:-1])

    def _kernels_for(self, steps: int) -> Tensor:
        if steps > self._kernels.shape[1]:
            return self._lay_out(steps).to(self._kernels)
        return self._kernels[:, :steps, :steps]

    def _lay_out(self, steps: int) -> Tensor:
        """Return the weight of step s in the mean at step t, (K, t, s)."""
        place = torch.arange(steps)
        if not self.decays:
            return torch.tril(1.0 / (place[:, None] + 1.0).expand(steps, steps))[None]
        distance = (place[:, None] - place).clamp(min=0).float()
        kernels = [decay**distance * (1.0 - decay) for decay in self.decays]
        return torch.stack([torch.tril(kernel) for kernel in kernels])
