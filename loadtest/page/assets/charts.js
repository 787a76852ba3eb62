"use strict";
// charts has what every report draws its charts with. Colours come from the
// page's style, so that they follow its light and its dark form.
const charts = (function () {
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const font = "12px system-ui, sans-serif";
  const drawn = [];

  const round = (x) => Number(x.toPrecision(3));
  const ms = (v) => (v == null ? "" : v < 1 ? round(v * 1000) + " µs" : v < 1000 ? round(v) + " ms" : round(v / 1000) + " s");
  const count = (v) => (v == null ? "" : Math.round(v).toLocaleString("en"));
  const short = (v) => (v >= 1e6 ? round(v / 1e6) + " M" : v >= 1e3 ? round(v / 1e3) + " k" : String(round(v)));

  const axis = (more) => Object.assign({
    font: font, labelFont: font, labelSize: 20, stroke: css("--quiet"),
    grid: { stroke: css("--line"), width: 1 }, ticks: { stroke: css("--line"), width: 1 },
  }, more);
  const all = (format) => (u, values) => values.map((v) => (v == null ? "" : format(v)));
  // fromZero is a scale from 0 to a little above the highest value.
  const fromZero = (u, lo, hi) => [0, hi * 1.08 || 1];

  // draw makes a chart as wide as its place and keeps it so.
  function draw(id, height, options, data) {
    const place = document.getElementById(id);
    if (!data[0].length) { place.textContent = "nothing was measured"; return; }
    const size = () => ({ width: place.clientWidth, height: height });
    drawn.push([new uPlot(Object.assign(size(), options), data, place), size]);
  }

  // start draws by the function that it is given, and again when the colours
  // change.
  function start(drawAll) {
    const again = () => {
      drawn.splice(0).forEach(([chart]) => chart.destroy());
      drawAll();
    };
    again();
    window.addEventListener("resize", () => drawn.forEach(([chart, size]) => chart.setSize(size())));
    window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
  }

  return { css, round, ms, count, short, axis, all, fromZero, draw, start };
})();
