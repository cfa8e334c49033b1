"use strict";
// Functions for all figures: decompression, colors of the theme, downloads, sliders.

const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, sans-serif';
const SLIDER_FRAME_MS = 250;

async function decompress(id) {
  const text = document.getElementById(id).textContent.trim();
  const bytes = Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
}

function themeColor(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

function isDark() {
  const chosen = document.documentElement.dataset.theme;
  if (chosen) return chosen === "dark";
  return matchMedia("(prefers-color-scheme: dark)").matches;
}

// The entries of a layout that depend on the theme, as Plotly.relayout takes them.
function themeLayout(layout) {
  const entries = {
    paper_bgcolor: themeColor("card"), plot_bgcolor: themeColor("card"), "font.color": themeColor("ink"),
    "hoverlabel.bgcolor": themeColor("card"), "hoverlabel.font.color": themeColor("ink"),
    "hoverlabel.bordercolor": themeColor("edge"), "legend.bgcolor": "rgba(0,0,0,0)",
  };
  for (const axis of Object.keys(layout).filter((name) => /^[xy]axis\d*$/.test(name))) {
    entries[`${axis}.gridcolor`] = themeColor("grid");
    entries[`${axis}.zerolinecolor`] = themeColor("edge");
    entries[`${axis}.linecolor`] = themeColor("edge");
  }
  return entries;
}

// A layout with the defaults of all figures.
function withDefaults(layout) {
  return {
    font: { family: FONT, size: 12 },
    margin: { l: 12, r: 12, t: 12, b: 12 },
    legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0, xanchor: "left" },
    hoverlabel: {}, height: 300, dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
    ...structuredClone(layout),
  };
}

const CONFIG = { displaylogo: false, displayModeBar: false, responsive: true };

async function draw(plot, figure) {
  const layout = withDefaults(figure.layout);
  plot.style.minHeight = `${layout.height}px`;
  await Plotly.newPlot(plot, figure.data, layout, CONFIG);
  await Plotly.relayout(plot, themeLayout(layout));
}

function applyTheme() {
  document.getElementById("theme").textContent = isDark() ? "Light" : "Dark";
  for (const plot of document.querySelectorAll(".js-plotly-plot")) {
    Plotly.relayout(plot, themeLayout(plot.layout));
  }
}

function bindTheme() {
  try {
    const stored = localStorage.getItem("syntony-theme");
    if (stored) document.documentElement.dataset.theme = stored;
  } catch { /* A browser may forbid storage; the theme is then not kept. */ }
  document.getElementById("theme").textContent = isDark() ? "Light" : "Dark";
  document.getElementById("theme").addEventListener("click", () => {
    const next = isDark() ? "light" : "dark";
    document.documentElement.dataset.theme = next;
    try { localStorage.setItem("syntony-theme", next); } catch { /* as above */ }
    applyTheme();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", applyTheme);
}

function resizePlots(parent) {
  for (const plot of parent.querySelectorAll(".js-plotly-plot")) Plotly.Plots.resize(plot);
}

// Figures of a closed section have no size until it is opened; links open it.
function bindDetails() {
  for (const details of document.querySelectorAll("details")) {
    details.addEventListener("toggle", () => { if (details.open) resizePlots(details); });
  }
  for (const link of document.querySelectorAll("nav a")) {
    link.addEventListener("click", () => {
      const details = document.querySelector(`${link.getAttribute("href")} details.section`);
      if (details) details.open = true;
    });
  }
}

// On paper everything is light, open, and as wide as the columns of an A4 page: the
// style sheet has one for wide blocks, and two otherwise, on any screen.
const PRINT_WIDTH = { wide: 670, narrow: 310 };

function bindPrint() {
  let theme = "";
  let closed = [];
  addEventListener("beforeprint", () => {
    theme = document.documentElement.dataset.theme ?? "";
    document.documentElement.dataset.theme = "light";
    closed = [...document.querySelectorAll("details.section:not([open])")];
    for (const details of closed) details.open = true;
    applyTheme();
    for (const plot of document.querySelectorAll(".js-plotly-plot")) {
      const isWide = plot.closest(".block").classList.contains("wide");
      const width = isWide ? PRINT_WIDTH.wide : PRINT_WIDTH.narrow;
      Plotly.relayout(plot, { width, autosize: false });
    }
  });
  addEventListener("afterprint", () => {
    if (theme) document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
    for (const details of closed) details.open = false;
    applyTheme();
    for (const plot of document.querySelectorAll(".js-plotly-plot")) {
      Plotly.relayout(plot, { width: null, autosize: true });
    }
  });
}

function bindDownloads(block, plot, name) {
  for (const button of block.querySelectorAll("[data-download]")) {
    button.addEventListener("click", () => {
      const { width, height } = plot.getBoundingClientRect();
      const format = button.dataset.download;
      Plotly.downloadImage(plot, { format, filename: name, width, height, scale: format === "png" ? 3 : 1 });
    });
  }
}

// Calls `advance` repeatedly until it returns false or the button is pressed again.
function bindPlay(button, advance, milliseconds) {
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
    timer = setInterval(() => { if (!advance()) stop(); }, milliseconds);
  }
  button.addEventListener("click", toggle);
  return { toggle, stop };
}

function bindSlider(block, plot, slider) {
  const range = block.querySelector("input[type=range]");
  const output = block.querySelector("output");
  function show() {
    const frame = Number(range.value);
    output.textContent = slider.frame_labels[frame];
    range.setAttribute("aria-valuetext", slider.frame_labels[frame]);
    Plotly.restyle(plot, { x: slider.x[frame], y: slider.y[frame] });
  }
  range.addEventListener("input", show);
  let isPlaying = false;
  bindPlay(block.querySelector("[data-action=play]"), () => {
    const last = Number(range.max);
    // At the last frame, it starts again from the first.
    range.value = Number(range.value) === last && !isPlaying ? 0 : Number(range.value) + 1;
    isPlaying = Number(range.value) < last;
    show();
    return isPlaying;
  }, SLIDER_FRAME_MS);
}
