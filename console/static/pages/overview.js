// The charts of the overview: latency on top, requests and errors under it, on one time axis.

import { Chart } from "../charts.js";
import { duration, rate, share } from "../units.js";

const place = (id) => document.getElementById(id);

if (place("latency")) {
  new Chart(place("latency"), {
    label: "Percentiles of latency over time",
    left: { format: duration, logarithmic: true },
    clock: false,
    samples: "rate",
    lines: [
      { column: "p50", label: "p50", colour: "--series-soft", percentile: true },
      { column: "p95", label: "p95", colour: "--series-1", percentile: true },
      { column: "p99", label: "p99", colour: "--series-3", dash: [5, 3], percentile: true },
    ],
  });
  new Chart(place("traffic"), {
    label: "Requests a second over time",
    left: { format: rate, least: 1 },
    clock: false,
    lines: [{ column: "rate", label: "requests", colour: "--series-1", fill: true }],
  });
  new Chart(place("errors"), {
    label: "Share of requests that failed over time",
    left: { format: share, least: 0.05, most: 1 },
    lines: [{ column: "error_rate", label: "errors", colour: "--bad", fill: true }],
    thresholds: [{ value: 0.01, label: "1 %" }],
  });
}
