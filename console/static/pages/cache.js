// The charts of the cache: each family's hit rate over what its lookups found, then what Redis had to let go.

import { Chart } from "../charts.js";
import { MISSING, count, rate, share, size } from "../units.js";

for (const place of document.querySelectorAll("[data-family]")) {
  const { family, shows } = place.dataset;
  const column = (name) => `${family}.${name}`;
  if (shows === "rate") {
    new Chart(place, {
      label: `Hit rate of the ${family} cache over time`,
      left: { format: share, least: 1, most: 1 },
      clock: false,
      samples: column("lookups"),
      sample: "lookup",
      lines: [{ column: column("hit_rate"), label: "hit rate", colour: "--series-1", fill: true }],
    });
  } else {
    new Chart(place, {
      label: `Lookups of the ${family} cache a second over time, by what they found`,
      left: { format: rate, least: 1 },
      lines: [
        { column: column("hits"), label: "hits", colour: "--series-1" },
        { column: column("misses"), label: "misses", colour: "--series-2" },
        { column: column("coalesced"), label: "joined", colour: "--series-3", dash: [5, 3] },
        { column: column("refused"), label: "refused", colour: "--bad", dash: [2, 3] },
      ],
    });
  }
}

const aMinute = (number) => (number == null ? MISSING : `${count(number)} /min`);
const evictions = document.getElementById("evictions");
if (evictions) {
  const limit = Number(evictions.dataset.limit);
  new Chart(evictions, {
    label: "Keys that Redis evicted or that expired, a minute, over time",
    left: { format: aMinute, least: 10 },
    clock: false,
    lines: [
      { column: "evictions_per_minute", label: "evicted", colour: "--series-1" },
      { column: "expirations_per_minute", label: "expired", colour: "--series-soft", dash: [5, 3] },
    ],
    thresholds: [{ value: limit, label: `alert above ${count(limit)} evicted` }],
  });
  const memory = document.getElementById("memory");
  const most = Number(memory.dataset.most);
  new Chart(memory, {
    label: "Memory that Redis uses, over time",
    left: { format: size, least: 1 << 20, binary: true },
    lines: [{ column: "memory_used", label: most ? "memory" : "memory (no limit)", colour: "--series-1", fill: true }],
    thresholds: most ? [{ value: most, label: `maxmemory ${size(most)}` }] : [],
  });
}
