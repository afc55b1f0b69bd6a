"""Muon, the optimiser of the demo's training: momentum whose matrices are made orthogonal before each step.

Owns that optimiser and nothing else. Must not import any room; torch loads on use. It is written out here, in float32
and for all matrices of one shape at once, because that is twice as fast on a processor as one by one in bfloat16, and
does not tie the demo to the newest torch.

K. Jordan and others, Muon: an optimizer for hidden layers in neural networks (2024),
https://kellerjordan.github.io/posts/muon/.
"""

from __future__ import annotations

from typing import Any

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the quintic that drives every singular value towards 1: the paper's."""
ROUNDS = 5
MOMENTUM = 0.95


def orthogonalise(matrices: Any) -> Any:
    """Bring the singular values of each matrix to between about 0.7 and 1.2 by a Newton-Schulz iteration.

    Values below about a hundredth of the matrix's norm stay smaller.

    Args:
        matrices: Shape (n, rows, columns).

    Returns:
        Matrices of the same shape; a matrix of zeros stays so.
    """
    a, b, c = COEFFICIENTS
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(ROUNDS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x


class Muon:
    """Steps weight matrices by their orthogonalised Nesterov momentum.

    Args:
        matrices: Weights of two dimensions, from inside the layers; not embeddings.
        lr: Step size: the spectral norm, about, of a step of a square matrix.
        weight_decay: Share of the weights taken off in each step, times ``lr``.
    """

    def __init__(self, matrices: list[Any], lr: float, weight_decay: float) -> None:
        import torch

        self._lr = lr
        self._weight_decay = weight_decay
        self._shapes: dict[tuple[int, ...], list[Any]] = {}
        for matrix in matrices:
            self._shapes.setdefault(tuple(matrix.shape), []).append(matrix)
        self._momenta = {shape: torch.zeros(len(group), *shape) for shape, group in self._shapes.items()}

    def step(self, scale: float) -> None:
        """Take one step of size ``scale * lr`` along the gradients that the matrices hold."""
        import torch

        with torch.no_grad():
            for shape, group in self._shapes.items():
                gradients = torch.stack([matrix.grad for matrix in group])
                momentum = self._momenta[shape].lerp_(gradients, 1 - MOMENTUM)
                updates = orthogonalise(gradients.lerp(momentum, MOMENTUM))
                size = scale * self._lr
                for matrix, update in zip(group, updates, strict=True):
                    matrix.mul_(1 - size * self._weight_decay)
                    matrix.sub_(update, alpha=size * max(1.0, shape[0] / shape[1]) ** 0.5)
