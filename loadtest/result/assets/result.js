"use strict";
(function () {
  const { css, count, short, axis, all, fromZero, draw, start } = charts;
  const colours = ["--blue", "--orange", "--green", "--red", "--purple", "--teal"];

  // value writes a number as exactly as a legend needs it.
  const value = (v) => (v == null ? "" : Math.abs(v) >= 1000 ? count(v) : String(Number(v.toPrecision(4))));

  // series is one line; a line of the right axis is dashed.
  function series(line, i) {
    const colour = css(colours[i % colours.length]);
    const s = { label: line.name, scale: line.right_axis ? "right" : "left", stroke: colour, width: 2, spanGaps: false, value: (u, v) => value(v) };
    if (line.right_axis) {
      return Object.assign(s, { dash: [6, 4] });
    }
    return Object.assign(s, i === 0 ? { fill: colour + "1c" } : {});
  }

  function one(id, chart) {
    chart.lines = chart.lines || [];
    const right = chart.lines.filter((line) => line.right_axis);
    const axes = [
      axis({ label: chart.x_label, values: all(short) }),
      axis({ label: chart.y_label, scale: "left", values: all(short), size: 56 }),
    ];
    if (right.length) {
      axes.push(axis({ label: right.map((line) => line.name).join(", "), scale: "right", side: 1, values: all(short), grid: { show: false }, size: 56 }));
    }
    draw(id, 300, {
      scales: { x: { time: false }, left: { range: fromZero }, right: { range: fromZero } },
      axes: axes,
      series: [{ label: chart.x_label, value: (u, v) => value(v) }].concat(chart.lines.map(series)),
    }, [chart.x || []].concat(chart.lines.map((line) => line.y)));
  }

  start(() => (report || []).forEach((chart, i) => one("chart" + i, chart)));
})();
