"use strict";
// Decompresses Plotly and the data, then draws everything, from the top of the page down.

async function start() {
  const library = document.createElement("script");
  library.textContent = await decompress("packed-plotly");
  document.head.append(library);
  const parts = JSON.parse(await decompress("packed-data"));
  for (const [id, part] of Object.entries(parts)) {
    const block = document.getElementById(id);
    const plot = block.querySelector(".plot");
    if (part.episode) {
      bindPlayer(block, part.name, part.episode);
      continue;
    }
    await draw(plot, part.figure);
    bindDownloads(block, plot, part.name);
    if (part.slider) bindSlider(block, plot, part.slider);
  }
  document.documentElement.dataset.ready = "yes";
}

bindTheme();
bindDetails();
bindPrint();
start().catch((error) => {
  const message = document.getElementById("error");
  message.textContent = "The figures cannot be drawn: this browser is too old, or the file is damaged.";
  message.hidden = false;
  console.error(error);
});
