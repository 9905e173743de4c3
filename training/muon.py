"""The optimiser of the matrices: momentum whose every direction is made equally long (Muon, Jordan et al. 2024)."""

from collections.abc import Iterable

import torch
from torch import Tensor

# The quintic a x + b x³ + c x⁵ that pushes singular values of up to 1 to about 1 in five rounds; the paper's.
QUINTIC = (3.4445, -4.7750, 2.0315)
ROUNDS = 5
ADAMW_LIKE = 0.2  # makes the step's root mean square that of AdamW (Liu et al. 2025)


def orthogonalised(matrices: Tensor) -> Tensor:
    """Matrices, (count, rows, columns), with their singular values moved close to 1."""
    is_tall = matrices.shape[-2] > matrices.shape[-1]
    wide = matrices.mT if is_tall else matrices
    wide = wide / (wide.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    a, b, c = QUINTIC
    for _ in range(ROUNDS):
        square = wide @ wide.mT
        wide = a * wide + (b * square + c * (square @ square)) @ wide
    whole: Tensor = wide.mT if is_tall else wide
    return whole


class Muon(torch.optim.Optimizer):
    """For parameters of two dimensions and of three, which are matrices side by side.

    torch's own takes only those of two and rounds to bfloat16, which many processors multiply fifty times slower.
    Kernels of convolutions are AdamW's: their long rows would get steps that are too long.
    """

    def __init__(self, parameters: Iterable[Tensor], lr: float, momentum: float = 0.95, decay: float = 0.01) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "decay": decay})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        """One step. Matrices of one shape are orthogonalised together."""
        for group in self.param_groups:
            alike: dict[torch.Size, list[tuple[Tensor, Tensor]]] = {}
            for parameter in group["params"]:
                if parameter.grad is not None:
                    matrices = self._averaged(parameter, parameter.grad, group["momentum"])
                    alike.setdefault(matrices.shape[1:], []).append((parameter, matrices))
            for shape, rows in alike.items():
                steps = orthogonalised(torch.cat([matrices for _, matrices in rows])) * ADAMW_LIKE * max(shape) ** 0.5
                pieces = steps.split([len(matrices) for _, matrices in rows])
                for (parameter, _), piece in zip(rows, pieces, strict=True):
                    parameter.mul_(1 - group["lr"] * group["decay"])
                    parameter.sub_(piece.reshape(parameter.shape), alpha=group["lr"])

    def _averaged(self, parameter: Tensor, gradient: Tensor, momentum: float) -> Tensor:
        """The gradient with its running mean mixed in, as (count, rows, columns)."""
        mean = self.state[parameter].setdefault("mean", torch.zeros_like(parameter))
        mean.lerp_(gradient, 1 - momentum)
        mixed = gradient.lerp(mean, momentum)
        return mixed if mixed.ndim == 3 else mixed[None]
