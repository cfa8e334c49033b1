"""Mistakes that a type checker has to find; the others pass for lack of types."""

from my_research import Coin, RandomSearch, SearchState

import syntony


def train_by_name() -> None:
    syntony.train("smpe", steps=100)  # error
    syntony.train(RandomSearch(), steps="100")  # error
    syntony.train(Coin(), steps=100)  # error


def confuse_states(state: SearchState) -> None:
    system: syntony.System[SearchState] = RandomSearch()
    system.step(3)  # error
    system.num_steps(state).append(1)  # error


def misuse_results() -> None:
    run = syntony.load("runs/coin")
    run.evaluate(episodes=10)["eval/return_mean"]  # error
    run.transmit([0, 1])  # error
    Coin(time_limit="5")  # error
    syntony.Smpe()  # error
