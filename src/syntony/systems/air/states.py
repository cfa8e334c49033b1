"""States of a team that transmits."""

from typing import NamedTuple

from jaxtyping import Array, Bool, Float, Int, Key

from syntony.channels.channel import ChannelState
from syntony.networks.layers import MLP
from syntony.pytrees import PyTree
from syntony.systems.link.gradient_estimators import (
    PerturbedBatch,
)
from syntony.systems.link.received_stats import (
    ReceivedStats,
)
from syntony.systems.marl.smpe import (
    SMPEState,
)


class AirHidden(NamedTuple):
    """Hidden state of the policy of a team that transmits."""

    actor: PyTree[Array]
    key: Key[Array, ""]
    channel_state: ChannelState
    """Of each environment's channel, [E, ...] each leaf; () without memory."""
    sent: Float[Array, "E N C 2"]
    """Symbols of the latest step."""
    received: Float[Array, "E N R"]
    """What was received in the latest step."""


class PendingFeedback(NamedTuple):
    """Sent batches whose losses are delayed, oldest first."""

    obs: Float[Array, "delay S N O"]
    batch: PerturbedBatch


class TransmissionState(NamedTuple):
    """State of the transmitters and of what they send."""

    transmitters: MLP
    """One of each agent, stacked."""
    opt_state: PyTree
    mean_energy: Float[Array, " N"]
    """Running mean of each agent's energy per use, before normalization."""
    received_stats: ReceivedStats
    pending: PendingFeedback
    snr_offset_db: Float[Array, ""]
    """Present SNR minus that of the channel."""
    explores: Bool[Array, ""]
    """Whether symbols are perturbed in episodes, for the return signal."""


class OverTheAirState(NamedTuple):
    """State of a run."""

    team: SMPEState
    """Of SMPE²; its key and its counter of environment steps are not used."""
    link: TransmissionState
    key: Key[Array, ""]
    env_steps: Int[Array, ""]
