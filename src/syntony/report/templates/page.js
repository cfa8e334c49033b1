"use strict";
// What all figures share: unpacking, colours of the theme, downloads, sliders.

const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, sans-serif';
const SLIDE_MS = 250;

async function unpack(id) {
  const text = document.getElementById(id).textContent.trim();
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const plain = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(plain).text();
}

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

function isDark() {
  const chosen = document.documentElement.dataset.theme;
  if (chosen) return chosen === "dark";
  return matchMedia("(prefers-color-scheme: dark)").matches;
}

// Returns what of a layout depends on the theme, as Plotly.relayout takes it.
function themed(layout) {
  const found = {
    paper_bgcolor: colour("card"), plot_bgcolor: colour("card"), "font.color": colour("ink"),
    "hoverlabel.bgcolor": colour("card"), "hoverlabel.font.color": colour("ink"),
    "hoverlabel.bordercolor": colour("edge"), "legend.bgcolor": "rgba(0,0,0,0)",
  };
  for (const axis of Object.keys(layout).filter((name) => /^[xy]axis\d*$/.test(name))) {
    found[`${axis}.gridcolor`] = colour("grid");
    found[`${axis}.zerolinecolor`] = colour("edge");
    found[`${axis}.linecolor`] = colour("edge");
  }
  return found;
}

function dressed(layout) {
  return {
    font: { family: FONT, size: 12 },
    margin: { l: 12, r: 12, t: 12, b: 12 },
    legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0, xanchor: "left" },
    hoverlabel: {}, height: 300, dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
    ...structuredClone(layout),
  };
}

const CONFIG = { displaylogo: false, displayModeBar: false, responsive: true };

async function draw(place, figure) {
  const layout = dressed(figure.layout);
  place.style.minHeight = `${layout.height}px`;
  await Plotly.newPlot(place, figure.data, layout, CONFIG);
  await Plotly.relayout(place, themed(layout));
}

function repaint() {
  document.getElementById("theme").textContent = isDark() ? "Light" : "Dark";
  for (const place of document.querySelectorAll(".js-plotly-plot")) {
    Plotly.relayout(place, themed(place.layout));
  }
}

function bindTheme() {
  try {
    const kept = localStorage.getItem("syntony-theme");
    if (kept) document.documentElement.dataset.theme = kept;
  } catch { /* Nothing is kept where the browser forbids it. */ }
  document.getElementById("theme").textContent = isDark() ? "Light" : "Dark";
  document.getElementById("theme").addEventListener("click", () => {
    const next = isDark() ? "light" : "dark";
    document.documentElement.dataset.theme = next;
    try { localStorage.setItem("syntony-theme", next); } catch { /* as above */ }
    repaint();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
}

function bindSaves(block, place, name) {
  for (const button of block.querySelectorAll("[data-save]")) {
    button.addEventListener("click", () => {
      const { width, height } = place.getBoundingClientRect();
      Plotly.downloadImage(place, {
        format: button.dataset.save, filename: name, width, height, scale: button.dataset.save === "png" ? 3 : 1,
      });
    });
  }
}

// Calls `forth` again and again until it says no, or the button is pressed once more.
function bindPlay(button, forth, milliseconds) {
  let timer = null;
  function stop() {
    clearInterval(timer);
    timer = null;
    button.textContent = "Play";
    button.setAttribute("aria-pressed", "false");
  }
  function toggle() {
    if (timer !== null) return stop();
    button.textContent = "Pause";
    button.setAttribute("aria-pressed", "true");
    timer = setInterval(() => { if (!forth()) stop(); }, milliseconds);
  }
  button.addEventListener("click", toggle);
  return { toggle, stop };
}

function bindSlides(block, place, slides) {
  const range = block.querySelector("input[type=range]");
  const said = block.querySelector("output");
  function show() {
    const moment = Number(range.value);
    said.textContent = slides.names[moment];
    range.setAttribute("aria-valuetext", slides.names[moment]);
    Plotly.restyle(place, { x: slides.x[moment], y: slides.y[moment] });
  }
  range.addEventListener("input", show);
  let waiting = false;
  bindPlay(block.querySelector("[data-do=play]"), () => {
    const last = Number(range.max);
    // Played from its end, it begins anew.
    range.value = Number(range.value) === last && !waiting ? 0 : Number(range.value) + 1;
    waiting = Number(range.value) < last;
    show();
    return waiting;
  }, SLIDE_MS);
}
