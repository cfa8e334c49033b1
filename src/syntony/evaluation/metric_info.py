"""Titles and meanings of the logged metrics, as figures and reports print them."""

METRIC_TITLES = {
    "eval/bler": "block error rate",
    "eval/gradient_cosine_similarity": "agreement of gradients",
    "eval/return_mean_greedy": "return, most likely actions",
    "eval/return_mean_per_agent": "return per agent",
    "eval/length_mean": "length of an episode",
    "train/kl_loss": "KL loss",
    "train/return_mean": "return during training",
}
"""Titles that do not follow from the metric's key."""

METRIC_DESCRIPTIONS = {
    "train/actor_loss": "The actors' loss, −ln π(a) (G − V) − β_H H; it need not fall.",
    "train/critic_loss": "The central critic's loss, (G − V)².",
    "train/filtered_critic_loss": "The loss of the critic of the filtered state.",
    "train/entropy": "Entropy of the policies, in nats; 0 is a deterministic policy.",
    "train/exploration_bonus": "Mean exploration bonus β / √n, which falls as beliefs "
    "with the same hash recur.",
    "train/bonus_error_correlation": "Correlation of an agent's exploration bonus with "
    "the error of its teammates' beliefs about it; above 0, observations that are new "
    "to an agent are also those that its teammates predict badly.",
    "train/reconstruction_loss": "Filtered squared error of the decoded teammates' "
    "observations.",
    "train/kl_loss": "KL(q_ω ‖ N(0, I)) of the beliefs, in nats.",
    "train/norm_loss": "−‖w‖²: lower where filter weights are larger.",
    "train/filter_weight_mean": "Mean filter weight; 1 keeps every feature.",
    "train/return_mean": "Return of the episodes of the training rollouts.",
    "train/receiver_loss": "Cross-entropy of the receiver, in nats a block.",
    "train/transmitter_loss": "Mean loss that the transmitter received over the "
    "feedback link.",
    "eval/return_mean": "Return of an episode with sampled actions.",
    "eval/return_mean_greedy": "Return of an episode with the most likely actions.",
    "eval/length_mean": "Steps of an episode.",
    "eval/return_mean_per_agent": "Return of an episode, divided by the agents.",
    "eval/gradient_cosine_similarity": "Mean cosine similarity of the gradients of "
    "independent batches: s / (1 + s), where s is the signal-to-noise ratio of a "
    "batch's gradient.",
    "eval/bler": "Share of blocks that are decoded to a wrong message.",
}


def metric_display_name(metric: str) -> str:
    """Title of a metric, e.g. `return` for `eval/return_mean`."""
    plain = metric.rpartition("/")[2].removesuffix("_mean").replace("_", " ")
    return METRIC_TITLES.get(metric) or plain
