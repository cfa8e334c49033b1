"use strict";
// The episode player: one moment, one agent; buttons, slider and keys change them.

const STEP_MS = 450;
const [TRUE_COLOUR, BELIEF_COLOUR, WEIGHT_COLOUR] = ["#0072B2", "#E69F00", "#56B4E9"];

function teammates(episode, agent) {
  return episode.agents.map((_, other) => other).filter((other) => other !== agent);
}

// Returns a teammate's part of what an agent believes, or of its filter's weights.
function about(numbers, agent, other, size) {
  const block = other - (other > agent ? 1 : 0);
  return numbers.slice(block * size, (block + 1) * size);
}

// Returns the numbers as a figure: what is believed of all teammates, or what is seen.
function numbersOf(episode, moment, agent) {
  const obs = episode.obs[moment];
  const size = obs[agent].length;
  const believed = episode.believed !== null;
  const subjects = believed ? teammates(episode, agent) : [agent];
  const truth = subjects.flatMap((other) => obs[other]);
  const names = subjects.flatMap((other) => episode.features[other]);
  const places = truth.map((_, place) => place);
  const marks = { type: "scatter", mode: "markers", x: places, text: names, hovertemplate: "%{text}: %{y}" };
  const data = [{
    ...marks, y: truth, name: believed ? "what they see" : "what it sees",
    marker: { symbol: "line-ew-open", size: 13, color: TRUE_COLOUR, line: { width: 3, color: TRUE_COLOUR } },
  }];
  const layout = {
    height: believed ? 430 : 300, hovermode: "x",
    xaxis: { tickvals: places, ticktext: names, tickangle: -90, automargin: true, range: [-0.7, truth.length - 0.3], showgrid: false, zeroline: false },
    yaxis: { title: { text: "value" }, range: episode.range, domain: believed ? [0.36, 1] : [0, 1], automargin: true },
    shapes: subjects.map((other, block) => ({
      type: "rect", xref: "x", yref: "paper", x0: block * size - 0.5, x1: (block + 1) * size - 0.5, y0: 0, y1: 1,
      fillcolor: episode.colours[other], opacity: 0.08, line: { width: 0 }, layer: "below",
    })),
    annotations: subjects.map((other, block) => ({
      text: `${episode.agents[other]} sees`, x: block * size - 0.4, y: 1, xref: "x", yref: "paper",
      xanchor: "left", yanchor: "top", showarrow: false,
    })),
  };
  if (believed) {
    data.push({ ...marks, y: episode.believed[moment][agent], name: `what ${episode.agents[agent]} believes`, marker: { size: 7, color: BELIEF_COLOUR } });
    data.push({ type: "bar", x: places, y: episode.weights[moment][agent], name: "filter weight", yaxis: "y2", marker: { color: WEIGHT_COLOUR }, text: names, textposition: "none", hovertemplate: "%{text}: %{y}" });
    layout.xaxis.anchor = "y2";
    layout.yaxis2 = { title: { text: "weight" }, range: [0, 1.05], domain: [0, 0.26], tickvals: [0, 0.5, 1], automargin: true };
  }
  return { data, layout };
}

function windowsOf(root, episode, agent) {
  const place = root.querySelector(".lenses");
  if (!place) return [];
  const others = episode.believed === null ? [] : teammates(episode, agent);
  const seen = [agent, ...others].map((other) => {
    const box = document.createElement("div");
    box.className = "lens";
    const title = document.createElement("p");
    title.className = "small";
    title.textContent = other === agent
      ? `${episode.agents[agent]} sees`
      : `${episode.agents[other]} sees; rings: ${episode.agents[agent]}’s belief`;
    const svg = element("svg", { role: "img", "aria-label": title.textContent });
    box.append(title, svg);
    return { other, box, svg };
  });
  place.replaceChildren(...seen.map(({ box }) => box));
  return seen;
}

function bindPlayer(root, name, episode) {
  const range = root.querySelector("input[type=range]");
  const said = root.querySelector("output");
  const chart = root.querySelector(".plot");
  const board = root.querySelector(".board svg");
  let agent = 0;
  let windows = windowsOf(root, episode, agent);

  function show() {
    const moment = Number(range.value);
    const words = `step ${moment} of ${range.max}, return ${episode.returns[moment].toFixed(2)}`;
    said.textContent = words;
    range.setAttribute("aria-valuetext", words);
    if (board) drawScene(board, episode.scene, moment, agent);
    for (const { other, svg } of windows) {
      const truth = episode.obs[moment][other];
      const inside = other !== agent;
      drawLens(svg, episode.lenses[other], truth,
        inside && about(episode.believed[moment][agent], agent, other, truth.length),
        inside && about(episode.weights[moment][agent], agent, other, truth.length));
    }
    const { data, layout } = numbersOf(episode, moment, agent);
    const fit = dressed(layout);
    // Each feature needs room for its name.
    chart.style.minWidth = `${data[0].x.length * 15}px`;
    chart.style.minHeight = `${fit.height}px`;
    Plotly.react(chart, data, fit, CONFIG).then(() => Plotly.relayout(chart, themed(fit)));
  }

  function move(by) {
    const next = Number(range.value) + by;
    if (next < 0 || next > Number(range.max)) return false;
    range.value = next;
    show();
    return next < Number(range.max);
  }

  const play = bindPlay(root.querySelector("[data-do=play]"), () => {
    if (range.value === range.max) range.value = -1;
    return move(1);
  }, STEP_MS);
  root.querySelector("[data-do=back]").addEventListener("click", () => { play.stop(); move(-1); });
  root.querySelector("[data-do=forth]").addEventListener("click", () => { play.stop(); move(1); });
  range.addEventListener("input", () => { play.stop(); show(); });
  for (const choice of root.querySelectorAll("input[type=radio]")) {
    choice.addEventListener("change", () => {
      agent = Number(choice.value);
      windows = windowsOf(root, episode, agent);
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
  root.querySelector("[data-board]")?.addEventListener("click", () => saveBoard(board, name));
  bindSaves(root, chart, name);
  show();
}

function saveBoard(svg, name) {
  const copy = svg.cloneNode(true);
  copy.setAttribute("xmlns", SVG);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([copy.outerHTML], { type: "image/svg+xml" }));
  link.download = `${name}-board.svg`;
  link.click();
  URL.revokeObjectURL(link.href);
}
