// Figures on axes and under the cursor, in the same units as the server's (console/format.py).

export const MISSING = "–";

function digits(value) {
  if (value >= 99.95) return value.toFixed(0);
  return value >= 9.995 ? value.toFixed(1) : value.toFixed(2);
}

export function duration(seconds) {
  if (seconds == null) return MISSING;
  if (seconds <= 0) return "0 ms";
  if (seconds < 999.5e-6) return `${Math.max(seconds * 1e6, 1).toFixed(0)} µs`;
  if (seconds < 999.5e-3) return `${digits(seconds * 1e3)} ms`;
  return `${digits(seconds)} s`;
}

export function rate(perSecond) {
  if (perSecond == null) return MISSING;
  if (perSecond <= 0) return "0 /s";
  return perSecond >= 999.5 ? `${(perSecond / 1000).toFixed(1)} k/s` : `${digits(perSecond)} /s`;
}

export function share(part) {
  if (part == null) return MISSING;
  if (part <= 0) return "0 %";
  if (part >= 1) return "100 %";
  const percent = (part * 100).toFixed(1);
  return percent === "0.0" ? "< 0.1 %" : percent === "100.0" ? "> 99.9 %" : `${percent} %`;
}

export function count(number) {
  if (number == null) return MISSING;
  return number < 10 && !Number.isInteger(number) ? number.toFixed(1) : Math.round(number).toLocaleString("en");
}

export function size(octets) {
  if (octets == null) return MISSING;
  if (octets < 1024) return `${octets.toFixed(0)} B`;
  const unit = Math.min(Math.floor(Math.log2(octets) / 10), 4);
  return `${digits(octets / 1024 ** unit)} ${["B", "KiB", "MiB", "GiB", "TiB"][unit]}`;
}

// On an axis the steps are even, so trailing zeros say nothing.
export const bare = (format) => (value) => format(value).replace(/(\.\d*?)0+ /, "$1 ").replace(". ", " ");
