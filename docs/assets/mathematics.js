// Renders the mathematics of a page with KaTeX, which is in assets/katex.
const delimiters = [
  { left: "\\(", right: "\\)", display: false },
  { left: "\\[", right: "\\]", display: true },
];
const render = () => renderMathInElement(document.body, { delimiters, throwOnError: true });
addEventListener("DOMContentLoaded", render);
