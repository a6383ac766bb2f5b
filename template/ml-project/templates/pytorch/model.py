"""A small network: an embedding for each category, scaled numbers, and fully connected layers."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import kit
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.metrics import log_loss
from torch import Tensor, nn

from {{ cookiecutter.__package_name }}.features import (
    CATEGORICAL,
    NUMERIC,
    Examples,
)

__all__ = ["Model", "ModelConfig"]


@dataclass(frozen=True)
class ModelConfig:
    """The group `model` of the config.

    Attributes:
        hidden: Units of each hidden layer.
        dropout: Share of units silenced in training, from 0 to below 1.
        learning_rate: Of AdamW.
        weight_decay: Of AdamW.
        batch_size: Flights in one step.
        epochs: How often all training flights are seen.
        device: Where to train: `cpu`, `cuda`, `cuda:1`, ...; `auto` is a GPU if there is one.
    """

    hidden: tuple[int, ...]
    dropout: float
    learning_rate: float
    weight_decay: float
    batch_size: int
    epochs: int
    device: str


@dataclass(frozen=True)
class Encoder:
    """Turns features into tensors, by what was seen in training.

    Attributes:
        categories: The known values of each categorical column; index 0 is kept for all others.
        mean: Of each numeric column, shape (5,).
        std: Of each numeric column, shape (5,).
    """

    categories: dict[str, list[str]]
    mean: Tensor
    std: Tensor

    @classmethod
    def fit(cls, features: pd.DataFrame) -> Encoder:
        """Learn the categories and scales of the training features."""
        categories = {name: sorted(map(str, features[name].unique())) for name in CATEGORICAL}
        numbers = _numbers(features)
        return cls(categories, numbers.mean(0), numbers.std(0).clamp_min(1e-6))

    def encode(self, features: pd.DataFrame) -> tuple[Tensor, Tensor]:
        """The scaled numbers, shape (n, 5), and the category indices, shape (n, 3)."""
        indices = [
            pd.Index(self.categories[name]).get_indexer(pd.Index(features[name].astype("str"))) + 1
            for name in CATEGORICAL
        ]
        return (_numbers(features) - self.mean) / self.std, torch.from_numpy(np.stack(indices, axis=1))


class Network(nn.Module):
    """Numbers and category indices in, one logit of being late for each flight out."""

    def __init__(self, config: ModelConfig, sizes: list[int]) -> None:
        """Make the layers; `sizes` is the number of values of each category, the unknown one included."""
        super().__init__()
        widths = [min(16, (size + 1) // 2) for size in sizes]
        self.embeddings = nn.ModuleList(nn.Embedding(size, width) for size, width in zip(sizes, widths, strict=True))
        layers: list[nn.Module] = []
        width = len(NUMERIC) + sum(widths)
        for units in config.hidden:
            layers += [nn.Linear(width, units), nn.ReLU(), nn.Dropout(config.dropout)]
            width = units
        self.layers = nn.Sequential(*layers, nn.Linear(width, 1))

    def forward(self, numbers: Tensor, indices: Tensor) -> Tensor:
        """Shapes (n, 5) and (n, 3) to (n,)."""
        embedded = [embedding(indices[:, column]) for column, embedding in enumerate(self.embeddings)]
        logits: Tensor = self.layers(torch.cat([numbers, *embedded], dim=1))
        return logits.squeeze(1)


@dataclass(frozen=True)
class Model:
    """A trained network with its encoder."""

    FILENAME: ClassVar[str] = "model.pt"
    config: ModelConfig
    encoder: Encoder
    network: Network

    @classmethod
    def fit(cls, config: ModelConfig, train: Examples, valid: Examples, run: kit.Run) -> Model:
        """Learn from `train`; after each epoch log how well `valid` is predicted, and keep a checkpoint.

        A run that has a checkpoint goes on from it, and ends where it would have without the interruption.
        """
        config = replace(config, device=_device(config.device))
        torch.manual_seed(run.seed)
        encoder = Encoder.fit(train.features)
        model = cls(config, encoder, _network(config, encoder).to(config.device))
        optimizer = torch.optim.AdamW(
            model.network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        done = _resume(run, model.network, optimizer)
        data = (*encoder.encode(train.features), torch.tensor(train.late, dtype=torch.float32))
        for epoch in run.progress(range(done + 1, config.epochs + 1), "epoch"):
            loss = _train_epoch(model.network, optimizer, data, config)
            valid_loss = float(log_loss(valid.late, model.predict(valid.features)))
            run.log({"train_loss": loss, "valid_log_loss": valid_loss}, step=epoch)
            _checkpoint(run, epoch, model.network, optimizer)
        return model

    def predict(self, features: pd.DataFrame) -> NDArray[np.float64]:
        """The probability of being late of each flight, shape (n,)."""
        self.network.eval()
        numbers, indices = (tensor.to(self.config.device) for tensor in self.encoder.encode(features))
        with torch.inference_mode():
            probability: NDArray[np.float64] = self.network(numbers, indices).double().sigmoid().cpu().numpy()
        return probability

    def save(self, path: Path) -> None:
        """Write the weights with what is needed to use them: tensors and plain values only."""
        state = {
            "config": asdict(self.config),
            "categories": self.encoder.categories,
            "mean": self.encoder.mean,
            "std": self.encoder.std,
            "weights": self.network.state_dict(),
        }
        torch.save(state, path)

    @classmethod
    def load(cls, path: Path) -> Model:
        """Read what `save` wrote, to the CPU; `weights_only` lets no code of the file run.

        Raises:
            ValueError: If the file is not a model of this project.
        """
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            config = ModelConfig(**(state["config"] | {"device": "cpu"}))
            encoder = Encoder(state["categories"], state["mean"], state["std"])
            network = _network(config, encoder)
            network.load_state_dict(state["weights"])
        except (EOFError, KeyError, RuntimeError, TypeError, pickle.UnpicklingError) as error:
            raise ValueError(f"{path} is not a model of this project: {error}") from error
        return cls(config, encoder, network)


def _device(name: str) -> str:
    return ("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name


def _network(config: ModelConfig, encoder: Encoder) -> Network:
    return Network(config, [len(encoder.categories[name]) + 1 for name in CATEGORICAL])


def _numbers(features: pd.DataFrame) -> Tensor:
    # A copy: what pandas shares must not be written to, and PyTorch warns of that.
    return torch.from_numpy(features[list(NUMERIC)].to_numpy(dtype=np.float32, copy=True))


def _train_epoch(
    network: Network, optimizer: torch.optim.Optimizer, data: tuple[Tensor, Tensor, Tensor], config: ModelConfig
) -> float:
    """One pass over all flights in random order; the mean loss."""
    network.train()
    losses = []
    for batch in _batches(data, config):
        numbers, indices, late = batch
        loss = nn.functional.binary_cross_entropy_with_logits(network(numbers, indices), late)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return float(np.mean(losses))


def _batches(data: tuple[Tensor, Tensor, Tensor], config: ModelConfig) -> Iterator[list[Tensor]]:
    for rows in torch.randperm(len(data[0])).split(config.batch_size):
        yield [tensor[rows].to(config.device) for tensor in data]


def _checkpoint(run: kit.Run, epoch: int, network: Network, optimizer: torch.optim.Optimizer) -> None:
    state = {
        "network": network.state_dict(),
        "optimizer": optimizer.state_dict(),
        "random": torch.get_rng_state(),
    }
    with run.checkpoint(epoch) as folder:
        torch.save(state, folder / "state.pt")


def _resume(run: kit.Run, network: Network, optimizer: torch.optim.Optimizer) -> int:
    """Load the run's newest checkpoint; the number of epochs it has behind it."""
    latest = run.latest_checkpoint()
    if latest is None:
        return 0
    epoch, folder = latest
    state: dict[str, Any] = torch.load(folder / "state.pt", map_location="cpu", weights_only=True)
    network.load_state_dict(state["network"])
    optimizer.load_state_dict(state["optimizer"])
    torch.set_rng_state(state["random"])
    return epoch
