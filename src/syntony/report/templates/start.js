"use strict";
// Unpacks the library and the data, then draws everything, the top of the page first.

async function start() {
  const library = document.createElement("script");
  library.textContent = await unpack("packed-plotly");
  document.head.append(library);
  const parts = JSON.parse(await unpack("packed-data"));
  for (const [id, part] of Object.entries(parts)) {
    const block = document.getElementById(id);
    const place = block.querySelector(".plot");
    if (part.episode) {
      bindPlayer(block, part.name, part.episode);
      continue;
    }
    await draw(place, part.figure);
    bindSaves(block, place, part.name);
    if (part.slides) bindSlides(block, place, part.slides);
  }
  document.documentElement.dataset.ready = "yes";
}

bindTheme();
start().catch((failure) => {
  const trouble = document.getElementById("trouble");
  trouble.textContent = "The figures cannot be drawn: this browser is too old, or the file is damaged.";
  trouble.hidden = false;
  console.error(failure);
});
