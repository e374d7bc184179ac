// The tune page: forms that do not leave it, ticks that follow what is written, and the latency that changes mark.

import { Chart } from "../charts.js";
import { send, tellRefusal } from "../forms.js";
import { duration } from "../units.js";

const form = document.getElementById("tune");

document.addEventListener("submit", async (event) => {
  if (!event.target.id.startsWith("tune")) return;
  event.preventDefault();
  const refused = await send(event);
  tellRefusal("tune", refused);
  if (!refused && event.target === form) form.reset(); // what is in force comes with the next event
});

// What is written otherwise than it was is ticked.
form.addEventListener("input", ({ target }) => {
  const tick = target.name?.startsWith("to-") && form.elements[`tick-${target.name.slice(3)}`];
  if (tick) tick.checked = target.value !== written(target);
});

function written(input) {
  return input.options ? [...input.options].find((option) => option.defaultSelected)?.value : input.defaultValue;
}

if (document.getElementById("latency")) {
  new Chart(document.getElementById("latency"), {
    label: "Percentiles of latency over time",
    left: { format: duration, logarithmic: true },
    samples: "rate",
    lines: [
      { column: "p50", label: "p50", colour: "--series-soft", percentile: true },
      { column: "p95", label: "p95", colour: "--series-1", percentile: true },
      { column: "p99", label: "p99", colour: "--series-3", dash: [5, 3], percentile: true },
    ],
  });
}
