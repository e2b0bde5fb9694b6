"""The network that brings text into the space where regions are compared with it.

Shape letters: X images or 1 (shared text), K prompts, D embedding.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class TextAdaptor(nn.Module):
    """T' = T + Linear(SiLU(Linear(T))), of texts at unit length; starts as the identity (its last layer at zero).

    The paper gives an MLP between text encoder and joint space; the residual and its start are choices of this project.
    """

    def __init__(self, embedding_dim: int, width: int) -> None:
        super().__init__()
        self.first = nn.Linear(embedding_dim, width)
        self.act = nn.SiLU()
        self.second = nn.Linear(width, embedding_dim)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)

    def forward(self, text_XKD: Tensor) -> Tensor:
        unit_XKD = functional.normalize(text_XKD, dim=2)
        update_XKD: Tensor = self.second(self.act(self.first(unit_XKD)))
        return unit_XKD + update_XKD
