"""The demo's optimiser: what it promises of singular values, and how long its steps are."""

from __future__ import annotations

import pytest

from curate.demo.muon import Muon, orthogonalise

torch = pytest.importorskip("torch")


@pytest.mark.parametrize("shape", [(8, 20), (20, 8), (1, 5)])
def test_singular_values_come_near_one_and_directions_stay(shape: tuple[int, int]) -> None:
    matrices = torch.randn(5, *shape, generator=torch.Generator().manual_seed(0))
    near = orthogonalise(matrices)
    values = torch.linalg.svdvals(near)
    assert near.shape == matrices.shape
    assert float(values.min()) > 0.5
    assert float(values.max()) < 1.3
    # The polar factor U V' maximises the inner product with the matrix, where it is the sum of singular values.
    inner = (near * matrices).sum(dim=(1, 2))
    assert bool((inner > 0.5 * torch.linalg.svdvals(matrices).sum(dim=1)).all())


def test_zeros_stay_zeros() -> None:
    assert not orthogonalise(torch.zeros(1, 3, 4)).any()


def test_a_first_step_is_as_long_as_the_learning_rate_says() -> None:
    # The gradient 3 * identity is a multiple of an orthogonal matrix: all singular values move together, to about 1.
    weight = torch.nn.Parameter(torch.zeros(4, 4))
    weight.grad = 3.0 * torch.eye(4)
    Muon([weight], lr=0.1, weight_decay=0.0).step(0.5)
    moved = -weight.detach() / 0.05
    assert torch.equal(moved, torch.diag(moved.diagonal()))
    assert 0.6 < float(moved.diagonal().min()) <= float(moved.diagonal().max()) < 1.3


def test_weight_decay_alone_shrinks() -> None:
    weight = torch.nn.Parameter(torch.eye(2))
    weight.grad = torch.zeros(2, 2)
    Muon([weight], lr=0.1, weight_decay=0.5).step(1.0)
    assert torch.allclose(weight.detach(), 0.95 * torch.eye(2))
