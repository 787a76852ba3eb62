"use strict";
(function () {
  const { css, round, ms, count, short, axis, all, fromZero, draw } = charts;

  function timeline(ticks) {
    const fill = css("--blue") + "22";
    draw("timeline", 260, {
      scales: { x: { time: false }, events: { range: fromZero }, ms: { range: fromZero } },
      axes: [
        axis({ values: all((v) => round(v) + " s") }),
        axis({ scale: "events", values: all(short), size: 60 }),
        axis({ scale: "ms", side: 1, values: all((v) => (v ? ms(v) : "0")), grid: { show: false }, size: 64 }),
      ],
      series: [
        { label: "time", value: (u, v) => (v == null ? "" : round(v) + " s") },
        { label: "events/s", scale: "events", stroke: css("--blue"), fill: fill, width: 2, points: { show: false }, value: (u, v) => count(v) },
        { label: "slowest answer", scale: "ms", stroke: css("--orange"), width: 1.5, dash: [5, 4], points: { show: false }, spanGaps: true, value: (u, v) => ms(v) },
      ],
    }, [ticks.map((t) => t.second), ticks.map((t) => t.events_per_second), ticks.map((t) => t.max_ms || null)]);
  }

  function histogram(buckets) {
    const at = (i) => buckets[i];
    const every = Math.ceil(buckets.length / 7);
    const bars = uPlot.paths.bars({ size: [0.9, 64], radius: 0.15 });
    draw("histogram", 280, {
      scales: { x: { time: false, range: [-0.7, buckets.length - 0.3] }, y: { range: fromZero } },
      axes: [
        axis({
          grid: { show: false },
          // Labels stand at the left edges of the bars.
          splits: () => buckets.map((b, i) => i - 0.5).filter((x, i) => i % every === 0),
          values: all((x) => (at(x + 0.5) ? ms(at(x + 0.5).from_ms) : "")),
        }),
        axis({ values: all(short), size: 50 }),
      ],
      series: [
        { label: "latency", value: (u, i) => (at(i) ? ms(at(i).from_ms) + " to " + ms(at(i).to_ms) : "") },
        { label: "attempts", stroke: css("--blue"), fill: css("--blue") + "99", paths: bars, points: { show: false }, value: (u, v) => count(v) },
      ],
    }, [buckets.map((b, i) => i), buckets.map((b) => b.count)]);
  }

  // The x axis is log10(1 / (1 - p)), so that each further nine has the same
  // width: 0 is the minimum, 1 is p90, 2 is p99.
  function percentiles(points) {
    const last = points.length ? nines(points[points.length - 1].percentile) : 1;
    draw("percentiles", 280, {
      scales: { x: { time: false, range: [0, Math.max(last, 1)] }, y: { range: fromZero } },
      axes: [
        axis({ splits: () => [0, nines(50), 1, 2, 3, 4, 5].filter((x) => x <= last), values: all((x) => (x ? "p" + percent(x) : "min")) }),
        axis({ values: all((v) => (v ? ms(v) : "0")), size: 64 }),
      ],
      series: [
        { label: "percentile", value: (u, x) => (x == null ? "" : percent(x) + " %") },
        { label: "latency", stroke: css("--blue"), fill: css("--blue") + "22", width: 2, value: (u, v) => ms(v) },
      ],
    }, [points.map((p) => nines(p.percentile)), points.map((p) => p.ms)]);
  }

  const nines = (p) => -Math.log10(1 - p / 100);
  const percent = (x) => Number((100 * (1 - Math.pow(10, -x))).toFixed(3));

  charts.start(() => {
    timeline(report.timeline || []);
    histogram(report.histogram || []);
    percentiles(report.percentiles || []);
  });
})();
