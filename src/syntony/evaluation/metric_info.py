"""Titles, units and meanings of the logged metrics: the one table of them.

Figures, reports and the documentation's list of metrics print them from here.
"""

from typing import NamedTuple


class MetricInfo(NamedTuple):
    """Title, unit and meaning of a metric."""

    unit: str
    meaning: str
    title: str = ""
    """Title in figures; by default the last part of the metric's key."""


RETURN, NATS, STEPS, SHARE = "sum of rewards", "nats", "environment steps", "share"

METRICS = {
    "eval/return_mean": MetricInfo(
        RETURN, "Return of an episode with sampled actions."
    ),
    "eval/return_mean_greedy": MetricInfo(
        RETURN,
        "Return of an episode with the most likely actions.",
        "return, most likely actions",
    ),
    "eval/return_mean_per_agent": MetricInfo(
        RETURN, "Return of an episode, divided by the agents.", "return per agent"
    ),
    "eval/length_mean": MetricInfo(
        STEPS, "Steps of an episode.", "length of an episode"
    ),
    "eval/belief_error": MetricInfo(
        "mean square",
        "Error of the decoded beliefs of a team that transmits, in the units of "
        "normalized observations.",
    ),
    "eval/bler": MetricInfo(
        SHARE,
        "Share of blocks that are decoded to a wrong message.",
        "block error rate",
    ),
    "eval/gradient_cosine_similarity": MetricInfo(
        "1",
        "Mean cosine similarity of the gradients of independent batches: s / (1 + s), "
        "where s is the signal-to-noise ratio of a batch's gradient.",
        "agreement of gradients",
    ),
    "train/return_mean": MetricInfo(
        RETURN,
        "Return of the episodes of the training rollouts.",
        "return during training",
    ),
    "train/actor_loss": MetricInfo(
        "1", "The actors' loss, −ln π(a) (G − V) − β_H H; it need not fall."
    ),
    "train/critic_loss": MetricInfo(
        "return squared", "The central critic's loss, (G − V)²."
    ),
    "train/filtered_critic_loss": MetricInfo(
        "return squared", "The loss of the critic of the filtered state."
    ),
    "train/entropy": MetricInfo(
        NATS, "Entropy of the policies; 0 is a deterministic policy."
    ),
    "train/exploration_bonus": MetricInfo(
        "reward",
        "Mean exploration bonus β / √n, which falls as beliefs with the same hash "
        "recur.",
    ),
    "train/bonus_error_correlation": MetricInfo(
        "1",
        "Correlation of an agent's exploration bonus with the error of its teammates' "
        "beliefs about it; above 0, observations that are new to an agent are also "
        "those that its teammates predict badly.",
    ),
    "train/reconstruction_loss": MetricInfo(
        "mean square", "Filtered squared error of the decoded teammates' observations."
    ),
    "train/kl_loss": MetricInfo(NATS, "KL(q_ω ‖ N(0, I)) of the beliefs.", "KL loss"),
    "train/norm_loss": MetricInfo("1", "−‖w‖²: lower where filter weights are larger."),
    "train/filter_weight_mean": MetricInfo(
        "1", "Mean filter weight; 1 keeps every feature."
    ),
    "train/td_loss": MetricInfo(
        "return squared",
        "Loss of the team's action value, (y − Q_tot)², of VDN and QMIX.",
        "TD loss",
    ),
    "train/epsilon": MetricInfo(
        SHARE, "Probability of a random action during training."
    ),
    "train/receiver_loss": MetricInfo(
        "nats per block", "Cross-entropy of the receiver."
    ),
    "train/transmitter_loss": MetricInfo(
        "nats per block; air: of its feedback signal",
        "Mean loss that the transmitter received over the feedback link.",
    ),
}
"""Unit and meaning of every metric that is logged, by its key in `metrics.jsonl`."""


def metric_meaning(metric: str) -> str:
    """Meaning of a metric with its unit; empty for a user's own metric."""
    info = METRICS.get(metric)
    if info is None:
        return ""
    unit = "" if info.unit in ("1", SHARE) else f" Unit: {info.unit}."
    return info.meaning + unit


def metric_display_name(metric: str) -> str:
    """Title of a metric, e.g. `return` for `eval/return_mean`."""
    plain = metric.rpartition("/")[2].removesuffix("_mean").replace("_", " ")
    info = METRICS.get(metric)
    return plain if info is None else info.title or plain
