"""An exported actor computes what PyTorch's modules compute, as the guide says."""

import re
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import pytest
from tiny_teams import SIZES, SYSTEMS, state_of

from syntony.training.export import export_model
from syntony.training.run_folder import RunFolder

GUIDE = Path(__file__).parents[2] / "docs" / "how-to" / "use-a-trained-team.md"
IN_PYTORCH, NORMALIZED, BELIEF_MEANS = re.findall(
    r"```python\n((?:import numpy|def ).*?)```", GUIDE.read_text(), re.DOTALL
)
HIDDEN = 8
NUM_AGENTS = SIZES[0]


class Exported(NamedTuple):
    """An untrained team, and the logits of its agents in one episode."""

    path: Path
    obs: np.ndarray
    logits: np.ndarray

    def arrays(self, prefix: str) -> dict[str, np.ndarray]:
        with np.load(self.path) as model:
            names = [name for name in model.files if name.startswith(prefix)]
            return {name.removeprefix(prefix): model[name] for name in names}


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    folder = RunFolder(tmp_path_factory.mktemp("run"))
    system, state = SYSTEMS["smpe"], state_of("smpe")
    rng = np.random.default_rng(0)
    obs = rng.normal(scale=3, size=(6, NUM_AGENTS, SIZES[2])).astype(np.float32)
    mean, var = jax.device_put((obs[0, 0], np.abs(obs[0, 1])))
    stats = state.beliefs.shared_stats._replace(mean=mean, var=var)
    state = state._replace(beliefs=state.beliefs._replace(shared_stats=stats))
    export_model(folder, system, {0: state})

    @jax.jit
    def step(obs: Any, h: Any) -> tuple[Any, Any]:
        return system.policy(state)(obs[None], h)

    h, logits = system.initial_hidden(1), []
    for each in obs:
        out, h = step(each, h)
        logits.append(np.asarray(out[0]))
    return Exported(folder.model_path, obs, np.stack(logits))


def features(exported: Exported) -> np.ndarray:
    names: dict[str, Any] = {"np": np}
    exec(NORMALIZED + BELIEF_MEANS, names)
    arrays = exported.arrays("seed0/")
    parts = [
        np.stack([names[name](arrays, obs) for obs in exported.obs])
        for name in ("normalized", "belief_means")
    ]
    assert (parts[0] != exported.obs).all()
    return np.concatenate(parts, axis=-1)


def assert_equal_logits(got: np.ndarray, exported: Exported) -> None:
    assert got.dtype == np.float32
    largest = np.abs(exported.logits).max()
    assert np.abs(got - exported.logits).max() <= 1e-6 * max(largest, 1)
    assert np.ptp(exported.logits, axis=0).max() > 0.1, "the logits vary"


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def test_an_exported_actor_is_that_of_pytorchs_equations(exported: Exported):
    """The equations of the documentation of `torch.nn.GRUCell`, in NumPy."""
    p = exported.arrays("seed0/actor/")
    w_ih, w_hh = (p[f"gru/linear_{name}/weight"].T for name in ("ih", "hh"))
    b_ih, b_hh = (p[f"gru/linear_{name}/bias"] for name in ("ih", "hh"))
    w_ir, w_iz, w_in = np.split(w_ih, 3)
    w_hr, w_hz, w_hn = np.split(w_hh, 3)
    b_ir, b_iz, b_in = np.split(b_ih, 3)
    b_hr, b_hz, b_hn = np.split(b_hh, 3)
    agent_id = np.eye(NUM_AGENTS, dtype=np.float32)
    h = np.zeros((NUM_AGENTS, HIDDEN), np.float32)
    logits = []
    for x in features(exported):
        x = np.concatenate([x, agent_id], axis=-1) @ p["embed/weight"]
        x = np.maximum(x + p["embed/bias"], 0)
        r = sigmoid(x @ w_ir.T + b_ir + h @ w_hr.T + b_hr)
        z = sigmoid(x @ w_iz.T + b_iz + h @ w_hz.T + b_hz)
        n = np.tanh(x @ w_in.T + b_in + r * (h @ w_hn.T + b_hn))
        h = (1 - z) * n + z * h
        logits.append(h @ p["out/weight"] + p["out/bias"])
    assert_equal_logits(np.stack(logits), exported)


def test_an_exported_actor_acts_in_pytorch(exported: Exported):
    torch = pytest.importorskip("torch")
    names: dict[str, Any] = {}
    exec(IN_PYTORCH.replace("runs/first/model.npz", str(exported.path)), names)
    h = torch.zeros(NUM_AGENTS, HIDDEN)
    logits = []
    with torch.no_grad():
        for x in features(exported):
            out, h = names["actor"](torch.from_numpy(x), h)
            logits.append(out.numpy())
    assert_equal_logits(np.stack(logits), exported)
