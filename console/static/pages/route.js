// One route: the heatmap that can be brushed, its percentiles against the target, its requests.

import { Chart } from "../charts.js";
import { Heatmap } from "../heatmap.js";
import { countFresh, leaveOutEmpty } from "../kept.js";
import { duration, rate } from "../units.js";
import { go, onEvent } from "../view.js";

const place = (id) => document.getElementById(id);
const limit = (value) => `${Number((value * 1000).toPrecision(4))} ms`;

const heat = new Heatmap(place("heatmap"), {
  target: Number(place("heatmap").dataset.target) || null,
  onBrush: ({ since, to, least, most }) => go({ since, to, least: limit(least), most: limit(most) }),
});

onEvent(({ data }) => {
  if (data && ("heatmap" in data || "brush" in data)) heat.show(data.heatmap, data.brush);
  if (data?.marks) heat.mark(data.marks);
});

if (place("percentiles")) {
  const { target, label } = place("percentiles").dataset;
  new Chart(place("percentiles"), {
    label: "Percentiles of this route's latency over time",
    left: { format: duration, logarithmic: true },
    clock: false,
    samples: "rate",
    lines: [
      { column: "p50", label: "p50", colour: "--series-soft", percentile: true },
      { column: "p95", label: "p95", colour: "--series-1", percentile: true },
      { column: "p99", label: "p99", colour: "--series-3", dash: [5, 3], percentile: true },
    ],
    thresholds: target ? [{ value: Number(target), label }] : [],
  });
  new Chart(place("rate"), {
    label: "Requests of this route a second over time",
    left: { format: rate, least: 1 },
    lines: [{ column: "rate", label: "requests", colour: "--series-1", fill: true }],
  });
}

countFresh();
leaveOutEmpty(document.querySelector(".brush"));
