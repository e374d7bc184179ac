// The charts of the processes: how late their loops run, and how passwords are hashed.

import { Chart } from "../charts.js";
import { duration, rate } from "../units.js";

const place = (id) => document.getElementById(id);

if (place("lag")) {
  new Chart(place("lag"), {
    label: "Lag of the event loops over time, 1 in 100",
    left: { format: duration, least: 0.01 },
    lines: [{ column: "loop_lag_p99", label: "lag p99", colour: "--series-1", fill: true, percentile: true }],
    thresholds: [{ value: 0.1, label: "100 ms" }],
  });
  new Chart(place("hashing"), {
    label: "How long passwords wait for a thread and are hashed at p95, over time",
    left: { format: duration, least: 0.05 },
    clock: false,
    lines: [
      { column: "hash_wait_p95", label: "wait", colour: "--series-3", dash: [5, 3], percentile: true },
      { column: "hash_duration_p95", label: "hashing", colour: "--series-1", percentile: true },
    ],
  });
  new Chart(place("refused"), {
    label: "Passwords a second that were refused because the queue was full, over time",
    left: { format: rate, least: 1 },
    lines: [{ column: "hash_refused", label: "refused", colour: "--bad", fill: true }],
  });
}
