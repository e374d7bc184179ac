// What an axis spans, where its ticks are, and how moments are written on it.

// Ticks of sizes in bytes.
export const POWERS = Array.from({ length: 50 }, (_, power) => 2 ** power);
export const MINUTES = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", timeZone: "UTC" });
export const SECONDS = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium", timeZone: "UTC" });

export function clockTimes(_, ticks, __, ___, step) {
  const format = step < 60 ? SECONDS : MINUTES;
  return ticks.map((second) => format.format(second * 1000));
}

export function lengths(_, ticks) {
  return ticks.map((second) => `${Math.floor(second / 60)}:${String(Math.floor(second % 60)).padStart(2, "0")}`);
}

// A scale begins at zero and leaves room above; a quiet chart does not blow noise up to full height.
export function bounds({ least, most = Infinity, logarithmic }, thresholds) {
  const lines = thresholds.map(({ value }) => value);
  if (logarithmic) return { distr: 3, range: (_, low, high) => decades(Math.min(low ?? 0.001, ...lines), Math.max(high ?? 1, ...lines)) };
  return { range: (_, __, high) => [0, Math.min(most, Math.max(least, ...lines, high ?? 0) * 1.12)] };
}

// p50 and p99 lie far apart: on a logarithmic scale from one, two or five to another each keeps its shape.
function decades(low, high) {
  const steps = (value) => [1, 2, 5, 10].map((step) => step * 10 ** Math.floor(Math.log10(value)));
  return [steps(low * 1.0001).findLast((step) => step <= low * 1.0001), steps(high * 0.9999).find((step) => step >= high * 0.9999)];
}

export function readable(_, __, low, high) {
  const ticks = [];
  for (let decade = 10 ** Math.floor(Math.log10(low) + 1e-9); decade <= high * 1.0001; decade *= 10) {
    for (const step of [1, 2, 5]) if (step * decade >= low * 0.9999 && step * decade <= high * 1.0001) ticks.push(step * decade);
  }
  return ticks.length > 7 ? ticks.filter((tick) => Math.abs(Math.log10(tick) % 1) < 1e-6 || 1 - Math.abs(Math.log10(tick) % 1) < 1e-6) : ticks;
}
