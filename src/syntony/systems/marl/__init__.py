"""Multi-agent reinforcement learning."""
