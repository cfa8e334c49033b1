"""The link's training loop in plain PyTorch: the peer that `link_speed.py` measures.

One step of the receiver and one of the transmitter an iteration, over white noise.
"""

import torch  # pyright: ignore[reportMissingImports]
from torch import Tensor, nn  # pyright: ignore[reportMissingImports]


class TorchLink:
    """A transmitter and a receiver that learn in turns."""

    def __init__(
        self,
        messages: int,
        uses: int,
        hidden: int,
        *,
        batch: int,
        snr_db: float,
        variance: float,
        learning_rate: float = 1e-3,
    ):
        size = 2 * uses
        self.batch_size, self.everything = batch, torch.arange(messages)
        self.transmitter = nn.Sequential(
            nn.Embedding(messages, hidden), nn.ELU(), nn.Linear(hidden, size)
        )
        self.receiver = nn.Sequential(
            nn.Linear(size, hidden), nn.ReLU(), nn.Linear(hidden, messages)
        )
        self.transmitter_adam, self.receiver_adam = (
            torch.optim.Adam(side.parameters(), learning_rate)
            for side in (self.transmitter, self.receiver)
        )
        self.noise_std = (10 ** (-snr_db / 10) / 2.0) ** 0.5
        self.perturbation_variance, self.scale = variance, (1.0 - variance) ** 0.5

    def iterate(self) -> None:
        """Trains the receiver once, then the transmitter once."""
        self.train_receiver()
        self.train_transmitter()

    def train_receiver(self) -> None:
        """Descends the cross-entropy of what is heard."""
        message = self.draw(self.batch_size)
        with torch.no_grad():
            y = self.channel(self.codebook()[message])
        loss = nn.functional.cross_entropy(self.receiver(y), message)
        descend(self.receiver_adam, loss)

    def train_transmitter(self) -> None:
        """Descends the surrogate: losses, less their mean, times ln π."""
        message = self.draw(self.batch_size // 2).repeat(2)
        mean = self.scale * self.codebook()[message]
        with torch.no_grad():
            half = torch.randn(self.batch_size // 2, mean.shape[1])
            std = (self.perturbation_variance / 2.0) ** 0.5
            sent = mean + std * torch.cat([half, -half])
            logits = self.receiver(self.channel(sent))
            loss = nn.functional.cross_entropy(logits, message, reduction="none")
        log_prob = -(sent - mean).square().sum(-1) / self.perturbation_variance
        descend(self.transmitter_adam, ((loss - loss.mean()) * log_prob).mean())

    def codebook(self) -> Tensor:
        """Returns all codewords, with energy 1 a use on average."""
        x = self.transmitter(self.everything)
        return x * torch.rsqrt(2.0 * x.square().mean())

    def draw(self, count: int) -> Tensor:
        """Returns messages in turn from a random one on."""
        messages = len(self.everything)
        return (torch.randint(messages, ()) + torch.arange(count)) % messages

    def channel(self, x: Tensor) -> Tensor:
        """Returns blocks with white noise."""
        return x + self.noise_std * torch.randn_like(x)

    @torch.no_grad()
    def error_rate(self, blocks: int) -> float:
        """Returns the share of blocks that are decided wrongly."""
        message = self.draw(blocks)
        decided = self.receiver(self.channel(self.codebook()[message])).argmax(-1)
        return float((decided != message).float().mean())


def descend(adam: torch.optim.Optimizer, loss: Tensor) -> None:
    """Takes one step down the gradient of a loss."""
    adam.zero_grad()
    loss.backward()
    adam.step()
