// The load page: forms that do not leave it, a scenario's own numbers as hints, and the charts of runs.

import { Chart } from "../charts.js";
import { send, tellRefusal } from "../forms.js";
import { count, duration, rate } from "../units.js";
import { onEvent } from "../view.js";

const place = (id) => document.getElementById(id);
const EMPTY = { at: [] };

place("load").addEventListener("submit", async (event) => {
  event.preventDefault();
  const refused = await send(event);
  tellRefusal("load", refused);
});

// What the chosen scenario declares, and whether it can be changed.
const fields = ["users", "rate", "seconds"];

function hint() {
  const chosen = document.querySelector("input[name=scenario]:checked")?.dataset;
  if (!chosen) return;
  for (const name of fields) {
    const input = place(`load-${name}`);
    const most = Number(chosen[`most${name[0].toUpperCase()}${name.slice(1)}`]);
    input.disabled = !most;
    input.placeholder = most ? count(Number(chosen[name])) : "by its plan";
    input.title = most ? `at most ${count(most)}` : "";
  }
}

for (const radio of document.querySelectorAll("input[name=scenario]")) radio.addEventListener("change", hint);
hint();

const charts = place("pace") ? runCharts() : [];
const overlay = place("overlay") ? overlayChart() : null;

onEvent(({ data }) => {
  if (data?.run !== undefined) for (const chart of charts) chart.feed(data.run ?? EMPTY, data.run?.marks);
  if (data?.overlay !== undefined) overlay?.feed(data.overlay ?? EMPTY);
});

function runCharts() {
  const own = { columns: EMPTY, marks: [], sync: "run" };
  return [
    new Chart(place("pace"), {
      ...own,
      label: "Requests a second of the run: planned, sent, answered and failed",
      left: { format: rate, least: 1 },
      clock: false,
      lines: [
        { column: "planned", label: "planned", colour: "--soft", dash: [5, 3] },
        { column: "sent", label: "sent", colour: "--series-2" },
        { column: "completed", label: "answered", colour: "--series-1", fill: true },
        { column: "errors", label: "errors", colour: "--bad" },
      ],
    }),
    new Chart(place("seen"), {
      ...own,
      label: "Percentiles of latency as clients saw it and as the service measured it",
      left: { format: duration, logarithmic: true },
      lines: [
        { column: "p95", label: "client p95", colour: "--series-1", percentile: true },
        { column: "p99", label: "client p99", colour: "--series-3", percentile: true },
        { column: "service_p95", label: "service p95", colour: "--series-1", dash: [5, 3], percentile: true },
        { column: "service_p99", label: "service p99", colour: "--series-3", dash: [5, 3], percentile: true },
      ],
    }),
  ];
}

function overlayChart() {
  return new Chart(place("overlay"), {
    columns: EMPTY,
    marks: [],
    sync: "overlay",
    elapsed: true,
    label: "Percentiles of both runs by seconds since each began",
    left: { format: duration, logarithmic: true },
    lines: [
      { column: "before_p50", label: "before p50", colour: "--series-soft", dash: [5, 3], percentile: true },
      { column: "after_p50", label: "after p50", colour: "--series-1", dash: [5, 3], percentile: true },
      { column: "before_p95", label: "before p95", colour: "--series-soft", percentile: true },
      { column: "after_p95", label: "after p95", colour: "--series-1", percentile: true },
    ],
  });
}
