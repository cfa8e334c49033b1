"use strict";
// Shapes on a board, and what an agent's numbers look like through its lens.

const SVG = "http://www.w3.org/2000/svg";

function element(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

function label(x, y, size, text) {
  return element("text", {
    x, y, "font-size": size, "text-anchor": "middle", "dominant-baseline": "central",
    fill: "#ffffff", "font-weight": 700, "font-family": "sans-serif",
  }, text);
}

// Returns the elements of one shape; the chosen agent has a ring around it.
function shapeOf(shape, chosen) {
  const { kind, x, y, fill } = shape;
  if (kind === "line") {
    return [element("line", {
      x1: x, y1: y, x2: shape.x2, y2: shape.y2, stroke: fill, "stroke-width": shape.width ?? 0.02,
    })];
  }
  const opacity = shape.opacity ?? 1;
  const made = kind === "disc"
    ? [element("circle", { cx: x, cy: y, r: shape.r, fill, opacity })]
    : [element("rect", {
      x: x - shape.side / 2, y: y - shape.side / 2, width: shape.side, height: shape.side,
      rx: shape.round ?? 0, fill, opacity: shape.agent === chosen ? 2 * opacity : opacity,
    })];
  const size = kind === "disc" ? shape.r : shape.side / 2;
  if (kind === "disc" && shape.agent === chosen) {
    made.push(element("circle", {
      cx: x, cy: y, r: shape.r * 1.22, fill: "none", stroke: fill, "stroke-width": shape.r / 6,
    }));
  }
  if (shape.text !== undefined) made.push(label(x, y, size * 1.15, shape.text));
  return made;
}

function drawScene(svg, scene, moment, chosen) {
  svg.setAttribute("viewBox", scene.box.join(" "));
  const shapes = [...scene.still, ...scene.moments[moment]];
  svg.replaceChildren(...shapes.flatMap((shape) => shapeOf(shape, chosen)));
}

function where([index, offset, factor], numbers) {
  return offset + (index === null ? 0 : factor * numbers[index]);
}

// Returns a thing as an agent's numbers have it: filled if true, a ring if believed.
function thingOf(thing, numbers, size, believed, weight) {
  if (thing.seen && !(numbers[thing.seen[0]] > thing.seen[1])) return [];
  const strength = thing.alpha === null ? 1 : Math.min(1, Math.max(0, numbers[thing.alpha]));
  if (strength < 0.05) return [];
  const [x, y] = [where(thing.x, numbers), where(thing.y, numbers)];
  const paint = believed
    ? { fill: "none", stroke: thing.fill, "stroke-width": size / 5, opacity: strength * (0.15 + 0.85 * weight) }
    : { fill: thing.fill, opacity: 0.75 * strength };
  const half = size * (believed ? 1.15 : 1);
  const made = thing.shape === "disc"
    ? element("circle", { cx: x, cy: y, r: half, ...paint })
    : element("rect", { x: x - half, y: y - half, width: 2 * half, height: 2 * half, rx: half / 4, ...paint });
  made.append(element("title", {}, `${thing.name}${believed ? ", believed" : ""}`));
  if (thing.text === null || believed) return [made];
  return [made, label(x, y, size * 1.1, Math.round(numbers[thing.text]))];
}

function cellsOf([left, top, width, height]) {
  const lines = [];
  for (let i = 1; i < width; i++) lines.push({ kind: "line", x: left + i, y: top, x2: left + i, y2: top + height });
  for (let i = 1; i < height; i++) lines.push({ kind: "line", x: left, y: top + i, x2: left + width, y2: top + i });
  return lines.flatMap((line) => shapeOf({ ...line, fill: "#80808055" }));
}

// Returns how much of a thing the filter lets pass: the mean over its numbers.
function weightOf(thing, weights) {
  const used = [thing.x[0], thing.y[0], thing.alpha, thing.text].filter((index) => index !== null);
  return used.length ? used.reduce((sum, index) => sum + weights[index], 0) / used.length : 1;
}

function drawLens(svg, lens, truth, belief, weights) {
  svg.setAttribute("viewBox", lens.box.join(" "));
  const size = lens.cells ? 0.3 : lens.box[2] / 28;
  const made = lens.cells ? cellsOf(lens.box) : [];
  for (const thing of lens.things) made.push(...thingOf(thing, truth, size, false, 1));
  if (belief) {
    for (const thing of lens.things) {
      made.push(...thingOf(thing, belief, size, true, weightOf(thing, weights)));
    }
  }
  svg.replaceChildren(...made);
}
