"""Training loop of a link in plain PyTorch: the peer in `link_speed.py`.

One step of the receiver and one of the transmitter per iteration, over AWGN.
"""

import torch  # pyright: ignore[reportMissingImports]
from torch import Tensor, nn  # pyright: ignore[reportMissingImports]


class TorchLink:
    """Transmitter and receiver that are trained alternately."""

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
        self.batch_size, self.all_messages = batch, torch.arange(messages)
        self.transmitter = nn.Sequential(
            nn.Embedding(messages, hidden), nn.ELU(), nn.Linear(hidden, size)
        )
        self.receiver = nn.Sequential(
            nn.Linear(size, hidden), nn.ReLU(), nn.Linear(hidden, messages)
        )
        self.transmitter_optimizer, self.receiver_optimizer = (
            torch.optim.Adam(network.parameters(), learning_rate)
            for network in (self.transmitter, self.receiver)
        )
        self.noise_std = (10 ** (-snr_db / 10) / 2.0) ** 0.5
        self.perturbation_variance, self.scale = variance, (1.0 - variance) ** 0.5

    def iterate(self) -> None:
        """Trains the receiver once, then the transmitter once."""
        self.train_receiver()
        self.train_transmitter()

    def train_receiver(self) -> None:
        """Takes a gradient step on the cross-entropy of the channel output."""
        message = self.sample(self.batch_size)
        with torch.no_grad():
            y = self.channel(self.codebook()[message])
        loss = nn.functional.cross_entropy(self.receiver(y), message)
        gradient_step(self.receiver_optimizer, loss)

    def train_transmitter(self) -> None:
        """Takes a gradient step on the surrogate: (loss − mean loss) times ln π."""
        message = self.sample(self.batch_size // 2).repeat(2)
        mean = self.scale * self.codebook()[message]
        with torch.no_grad():
            half = torch.randn(self.batch_size // 2, mean.shape[1])
            std = (self.perturbation_variance / 2.0) ** 0.5
            sent = mean + std * torch.cat([half, -half])
            logits = self.receiver(self.channel(sent))
            loss = nn.functional.cross_entropy(logits, message, reduction="none")
        log_prob = -(sent - mean).square().sum(-1) / self.perturbation_variance
        gradient_step(
            self.transmitter_optimizer, ((loss - loss.mean()) * log_prob).mean()
        )

    def codebook(self) -> Tensor:
        """All codewords, with a mean energy of 1 per use."""
        x = self.transmitter(self.all_messages)
        return x * torch.rsqrt(2.0 * x.square().mean())

    def sample(self, count: int) -> Tensor:
        """Consecutive messages from a random one on."""
        messages = len(self.all_messages)
        return (torch.randint(messages, ()) + torch.arange(count)) % messages

    def channel(self, x: Tensor) -> Tensor:
        """Blocks with additive Gaussian noise."""
        return x + self.noise_std * torch.randn_like(x)

    @torch.no_grad()
    def error_rate(self, blocks: int) -> float:
        """Block error rate."""
        message = self.sample(blocks)
        decided = self.receiver(self.channel(self.codebook()[message])).argmax(-1)
        return float((decided != message).float().mean())


def gradient_step(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    """Takes one gradient step on a loss."""
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
