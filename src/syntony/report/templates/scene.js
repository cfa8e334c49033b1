"use strict";
// Draws scenes, and the observation windows of agents, as SVG.

const SVG = "http://www.w3.org/2000/svg";

function element(name, attributes, text) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  return node;
}

function label(x, y, size, text) {
  return element("text", {
    x, y, "font-size": size, "text-anchor": "middle", "dominant-baseline": "central",
    fill: "#ffffff", "font-weight": 700, "font-family": "sans-serif",
  }, text);
}

// The SVG elements of one shape; the selected agent has a ring around it.
function shapeElements(shape, selectedAgent) {
  const { kind, x, y, fill } = shape;
  if (kind === "line") {
    return [element("line", {
      x1: x, y1: y, x2: shape.x2, y2: shape.y2, stroke: fill, "stroke-width": shape.width ?? 0.02,
    })];
  }
  const opacity = shape.opacity ?? 1;
  const elements = kind === "circle"
    ? [element("circle", { cx: x, cy: y, r: shape.r, fill, opacity })]
    : [element("rect", {
      x: x - shape.side / 2, y: y - shape.side / 2, width: shape.side, height: shape.side,
      rx: shape.round ?? 0, fill, opacity: shape.agent === selectedAgent ? 2 * opacity : opacity,
    })];
  const size = kind === "circle" ? shape.r : shape.side / 2;
  if (kind === "circle" && shape.agent === selectedAgent) {
    elements.push(element("circle", {
      cx: x, cy: y, r: shape.r * 1.22, fill: "none", stroke: fill, "stroke-width": shape.r / 6,
    }));
  }
  if (shape.text !== undefined) elements.push(label(x, y, size * 1.15, shape.text));
  return elements;
}

function drawScene(svg, scene, step, selectedAgent) {
  svg.setAttribute("viewBox", scene.bounds.join(" "));
  const shapes = [...scene.static, ...scene.frames[step]];
  svg.replaceChildren(...shapes.flatMap((shape) => shapeElements(shape, selectedAgent)));
}

// A coordinate of an entity: offset + factor · o[index].
function coordinate([index, offset, factor], obs) {
  return offset + (index === null ? 0 : factor * obs[index]);
}

// The SVG elements of one entity of an observation: filled if true, a ring if decoded.
function entityElements(entity, obs, size, isDecoded, weight) {
  const { visible_above: visible, alpha_index: alpha, text_index: text } = entity;
  if (visible && !(obs[visible[0]] > visible[1])) return [];
  const strength = alpha === null ? 1 : Math.min(1, Math.max(0, obs[alpha]));
  if (strength < 0.05) return [];
  const [x, y] = [coordinate(entity.x, obs), coordinate(entity.y, obs)];
  const style = isDecoded
    ? { fill: "none", stroke: entity.fill, "stroke-width": size / 5, opacity: strength * (0.15 + 0.85 * weight) }
    : { fill: entity.fill, opacity: 0.75 * strength };
  const half = size * (isDecoded ? 1.15 : 1);
  const shape = entity.shape === "circle"
    ? element("circle", { cx: x, cy: y, r: half, ...style })
    : element("rect", { x: x - half, y: y - half, width: 2 * half, height: 2 * half, rx: half / 4, ...style });
  shape.append(element("title", {}, `${entity.name}${isDecoded ? ", decoded" : ""}`));
  if (text === null || isDecoded) return [shape];
  return [shape, label(x, y, size * 1.1, Math.round(obs[text]))];
}

function gridLines([left, top, width, height]) {
  const lines = [];
  for (let i = 1; i < width; i++) lines.push({ kind: "line", x: left + i, y: top, x2: left + i, y2: top + height });
  for (let i = 1; i < height; i++) lines.push({ kind: "line", x: left, y: top + i, x2: left + width, y2: top + i });
  return lines.flatMap((line) => shapeElements({ ...line, fill: "#80808055" }));
}

// The mean filter weight of the features of an entity.
function entityWeight(entity, weights) {
  const indices = [entity.x[0], entity.y[0], entity.alpha_index, entity.text_index].filter((index) => index !== null);
  return indices.length ? indices.reduce((sum, index) => sum + weights[index], 0) / indices.length : 1;
}

function drawObsWindow(svg, obsWindow, truth, decoded, weights) {
  const { bounds, grid, entities } = obsWindow;
  svg.setAttribute("viewBox", bounds.join(" "));
  const size = grid ? 0.3 : bounds[2] / 28;
  const elements = grid ? gridLines(bounds) : [];
  for (const entity of entities) elements.push(...entityElements(entity, truth, size, false, 1));
  if (decoded) {
    for (const entity of entities) {
      elements.push(...entityElements(entity, decoded, size, true, entityWeight(entity, weights)));
    }
  }
  svg.replaceChildren(...elements);
}
