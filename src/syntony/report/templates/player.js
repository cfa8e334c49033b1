"use strict";
// The episode player: shows one step and one agent; buttons, slider and keys change them.

const STEP_MS = 450;
const [TRUE_COLOR, BELIEF_COLOR, WEIGHT_COLOR] = ["#0072B2", "#E69F00", "#56B4E9"];

function teammates(episode, agent) {
  return episode.agents.map((_, other) => other).filter((other) => other !== agent);
}

// The features of one teammate in an agent's decoded belief or filter weights.
function teammateSlice(values, agent, other, size) {
  const block = other - (other > agent ? 1 : 0);
  return values.slice(block * size, (block + 1) * size);
}

// The figure of an agent's decoded beliefs about its teammates, or of its observation.
function valuesFigure(episode, step, agent) {
  const obs = episode.obs[step];
  const size = obs[agent].length;
  const hasBeliefs = episode.decoded !== null;
  const observers = hasBeliefs ? teammates(episode, agent) : [agent];
  const truth = observers.flatMap((other) => obs[other]);
  const names = observers.flatMap((other) => episode.features[other]);
  const positions = truth.map((_, position) => position);
  const markers = { type: "scatter", mode: "markers", x: positions, text: names, hovertemplate: "%{text}: %{y}" };
  const data = [{
    ...markers, y: truth, name: hasBeliefs ? "teammates’ observations" : "observation",
    marker: { symbol: "line-ew-open", size: 13, color: TRUE_COLOR, line: { width: 3, color: TRUE_COLOR } },
  }];
  const layout = {
    height: hasBeliefs ? 430 : 300, hovermode: "x",
    // The names of the observations are above the axes, and the legend above them.
    margin: { l: 12, r: 12, t: 30, b: 12 },
    legend: { orientation: "h", y: 1.09, yanchor: "bottom", x: 0, xanchor: "left" },
    xaxis: { tickvals: positions, ticktext: names, tickangle: -90, automargin: true, range: [-0.7, truth.length - 0.3], showgrid: false, zeroline: false },
    yaxis: { title: { text: "value" }, range: episode.value_range, domain: hasBeliefs ? [0.36, 1] : [0, 1], automargin: true },
    shapes: observers.map((other, block) => ({
      type: "rect", xref: "x", yref: "paper", x0: block * size - 0.5, x1: (block + 1) * size - 0.5, y0: 0, y1: 1,
      fillcolor: episode.colors[other], opacity: 0.08, line: { width: 0 }, layer: "below",
    })),
    annotations: observers.map((other, block) => ({
      text: `observation of ${episode.agents[other]}`, x: block * size - 0.4, y: 1, xref: "x", yref: "paper",
      xanchor: "left", yanchor: "bottom", showarrow: false,
    })),
  };
  if (hasBeliefs) {
    data.push({ ...markers, y: episode.decoded[step][agent], name: `belief of ${episode.agents[agent]}`, marker: { size: 7, color: BELIEF_COLOR } });
    data.push({ type: "bar", x: positions, y: episode.weights[step][agent], name: "filter weight", yaxis: "y2", marker: { color: WEIGHT_COLOR }, text: names, textposition: "none", hovertemplate: "%{text}: %{y}" });
    layout.xaxis.anchor = "y2";
    layout.yaxis2 = { title: { text: "weight" }, range: [0, 1.05], domain: [0, 0.26], tickvals: [0, 0.5, 1], automargin: true };
  }
  return { data, layout };
}

// Replaces the observation windows by those of an agent and its teammates.
function createObsWindows(root, episode, agent) {
  const container = root.querySelector(".obs-windows");
  if (!container) return [];
  const others = episode.decoded === null ? [] : teammates(episode, agent);
  const windows = [agent, ...others].map((other) => {
    const box = document.createElement("div");
    box.className = "obs-window";
    const title = document.createElement("p");
    title.className = "small";
    title.textContent = other === agent
      ? `observation of ${episode.agents[agent]}`
      : `observation of ${episode.agents[other]}; rings: belief of ${episode.agents[agent]}`;
    const svg = element("svg", { role: "img", "aria-label": title.textContent });
    box.append(title, svg);
    return { other, box, svg };
  });
  container.replaceChildren(...windows.map(({ box }) => box));
  return windows;
}

function bindPlayer(root, name, episode) {
  const range = root.querySelector("input[type=range]");
  const output = root.querySelector("output");
  const chart = root.querySelector(".plot");
  const sceneSvg = root.querySelector(".scene svg");
  let agent = 0;
  let windows = createObsWindows(root, episode, agent);

  function show() {
    const step = Number(range.value);
    const text = `step ${step} of ${range.max}, return ${episode.returns[step].toFixed(2)}`;
    output.textContent = text;
    range.setAttribute("aria-valuetext", text);
    if (sceneSvg) drawScene(sceneSvg, episode.scene, step, agent);
    for (const { other, svg } of windows) {
      const truth = episode.obs[step][other];
      const isTeammate = other !== agent;
      drawObsWindow(svg, episode.obs_windows[other], truth,
        isTeammate && teammateSlice(episode.decoded[step][agent], agent, other, truth.length),
        isTeammate && teammateSlice(episode.weights[step][agent], agent, other, truth.length));
    }
    const { data, layout } = valuesFigure(episode, step, agent);
    const fullLayout = withDefaults(layout);
    // Each feature needs space for its name.
    chart.style.minWidth = `${data[0].x.length * 15}px`;
    chart.style.minHeight = `${fullLayout.height}px`;
    Plotly.react(chart, data, fullLayout, CONFIG).then(() => Plotly.relayout(chart, themeLayout(fullLayout)));
  }

  function move(steps) {
    const next = Number(range.value) + steps;
    if (next < 0 || next > Number(range.max)) return false;
    range.value = next;
    show();
    return next < Number(range.max);
  }

  const play = bindPlay(root.querySelector("[data-action=play]"), () => {
    if (range.value === range.max) range.value = -1;
    return move(1);
  }, STEP_MS);
  root.querySelector("[data-action=back]").addEventListener("click", () => { play.stop(); move(-1); });
  root.querySelector("[data-action=forward]").addEventListener("click", () => { play.stop(); move(1); });
  range.addEventListener("input", () => { play.stop(); show(); });
  for (const choice of root.querySelectorAll("input[type=radio]")) {
    choice.addEventListener("change", () => {
      agent = Number(choice.value);
      windows = createObsWindows(root, episode, agent);
      show();
    });
  }
  root.querySelector(".stage").addEventListener("keydown", (event) => {
    if (event.target.closest("button")) return;
    const keys = {
      " ": play.toggle,
      ArrowRight: () => { play.stop(); move(1); },
      ArrowLeft: () => { play.stop(); move(-1); },
      Home: () => { play.stop(); range.value = 0; show(); },
      End: () => { play.stop(); range.value = range.max; show(); },
    };
    if (!keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });
  root.querySelector("[data-download-scene]")?.addEventListener("click", () => downloadScene(sceneSvg, name));
  bindDownloads(root, chart, name);
  show();
  // A long scene, as a corridor, has the width of the page: its cells would be tiny.
  const view = sceneSvg?.viewBox.baseVal;
  if (view && view.width > 3 * view.height) root.querySelector(".scene").classList.add("long");
}

function downloadScene(svg, name) {
  const copy = svg.cloneNode(true);
  copy.setAttribute("xmlns", SVG);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([copy.outerHTML], { type: "image/svg+xml" }));
  link.download = `${name}-scene.svg`;
  link.click();
  URL.revokeObjectURL(link.href);
}
