// Four charts of the last five minutes with one cursor. Missing seconds are gaps; nothing is drawn as zero that is not.

import { bare, count, duration, rate, share } from "./units.js";

const HISTORY = 300; // seconds shown at most
const YOUNGEST = 60; // seconds shown at least, so that a young service is not a line at the edge
const SYNC = "overview";

// Column of the stream's points, label, colour, format, and the axis it is read on.
const CHARTS = {
  traffic: {
    left: { format: rate, least: 1 },
    right: { format: share, least: 0.05, most: 1 },
    lines: [
      { column: "rate", label: "requests", colour: "--series-1", fill: true },
      { column: "error_rate", label: "errors", colour: "--bad", right: true },
    ],
  },
  latency: {
    left: { format: duration, logarithmic: true },
    lines: [
      { column: "p50", label: "p50", colour: "--series-soft" },
      { column: "p95", label: "p95", colour: "--series-1" },
      { column: "p99", label: "p99", colour: "--series-3", dash: [5, 3] },
    ],
  },
  cache: {
    left: { format: share, least: 1, most: 1 },
    right: { format: count, least: 10 },
    lines: [
      { column: "hit_rate", label: "hit rate", colour: "--series-1", fill: true },
      { column: "evictions_per_minute", label: "evictions/min", colour: "--series-2", right: true },
    ],
  },
  pool: {
    left: { format: count, least: 4 },
    right: { format: duration, least: 0.001 },
    lines: [
      { column: "pool_in_use", label: "in use", colour: "--series-1", fill: true },
      { column: "pool_wait_p95", label: "wait p95", colour: "--series-2", right: true },
    ],
  },
};

export class Charts {
  constructor(places) {
    this.places = [...places];
    this.columns = { at: [] };
    this.plots = [];
    if (!this.places.length || typeof uPlot === "undefined") return;
    const redraw = () => this.build();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
    new ResizeObserver(() => this.resize()).observe(this.places[0]);
    this.build();
  }

  build() {
    for (const { plot } of this.plots) plot.destroy();
    this.plots = this.places.map((place) => {
      const chart = CHARTS[place.dataset.chart];
      return { place, chart, plot: new uPlot(options(chart, size(place)), this.data(chart), place) };
    });
    this.show();
  }

  resize() {
    for (const { place, plot } of this.plots) plot.setSize(size(place));
  }

  add(points) {
    const known = this.columns.at.at(-1) ?? 0;
    points.at.forEach((second, index) => {
      if (second <= known) return;
      const before = this.columns.at.at(-1);
      if (before !== undefined && second - before > 1) this.push(before + 1, () => null);
      this.push(second, (name) => points[name][index]);
    });
    this.show();
  }

  push(second, value) {
    this.columns.at.push(second);
    for (const { chart } of this.plots) {
      for (const { column } of chart.lines) (this.columns[column] ??= []).push(value(column) ?? null);
    }
    const past = this.columns.at.findIndex((at) => at > second - HISTORY);
    if (past > 0) for (const column of Object.values(this.columns)) column.splice(0, past);
  }

  data(chart) {
    return [this.columns.at, ...chart.lines.map(({ column }) => this.columns[column] ?? [])];
  }

  show() {
    const last = this.columns.at.length - 1;
    for (const { chart, plot } of this.plots) {
      plot.setData(this.data(chart));
      if (last >= 0 && plot.cursor.left < 0) plot.setLegend({ idx: last });
    }
  }
}

const now = () => Math.floor(Date.now() / 1000);

function size(place) {
  return { width: place.clientWidth, height: place.clientHeight - 24 }; // the legend's line stands above the plot
}

function options(chart, { width, height }) {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const font = `11px ${style.fontFamily}`;
  const axis = { stroke: colour("--soft"), font, ticks: { show: false }, grid: { stroke: colour("--grid"), width: 1 } };
  const valued = ({ format, logarithmic }) => ({
    ...axis,
    size: 58,
    space: 38,
    splits: logarithmic ? wholeDecades : undefined,
    filter: logarithmic ? (_, ticks) => ticks : undefined,
    values: (_, ticks) => ticks.map((tick) => (tick == null ? "" : bare(format)(tick))),
  });
  const scales = { x: { range: recent }, left: bounds(chart.left) };
  const axes = [
    { ...axis, size: 26, space: 64, incrs: [10, 15, 30, 60, 120], values: clockTimes, grid: { show: false } },
    { ...valued(chart.left), scale: "left" },
  ];
  if (chart.right) {
    scales.right = bounds(chart.right);
    axes.push({ ...valued(chart.right), scale: "right", side: 1, grid: { show: false } });
  }
  return {
    width,
    height,
    scales,
    axes,
    padding: [10, chart.right ? 0 : 24, 0, 0],
    legend: { live: true, markers: { width: 0, fill: (_, index) => colour(chart.lines[index - 1]?.colour ?? "--soft") } },
    cursor: { sync: { key: SYNC }, drag: { x: false, y: false }, points: { size: 7 }, y: false },
    series: [{}, ...chart.lines.map((line) => series(line, chart, colour))],
    hooks: { setCursor: [restLegend] },
  };
}

function series({ label, colour: name, right, fill, dash }, chart, colour) {
  const { format } = right ? chart.right : chart.left;
  return {
    label,
    dash,
    scale: right ? "right" : "left",
    stroke: colour(name),
    width: 1.5,
    fill: fill ? `color-mix(in srgb, ${colour(name)} 10%, transparent)` : undefined,
    points: { show: false },
    spanGaps: false,
    value: (_, value) => format(value),
  };
}

// A scale begins at zero and leaves room above; a quiet chart does not blow noise up to full height.
function bounds({ least, most = Infinity, logarithmic }) {
  if (logarithmic) return { distr: 3, range: (_, low, high) => decades(low ?? 0.001, high ?? 1) };
  return { range: (_, __, high) => [0, Math.min(most, Math.max(least, (high ?? 0) * 1.12))] };
}

// p50 and p99 lie far apart: on a logarithmic scale of whole decades each keeps its shape.
function decades(low, high) {
  return [10 ** Math.floor(Math.log10(low)), 10 ** Math.ceil(Math.log10(high) + 1e-9)];
}

function wholeDecades(_, __, low, high) {
  const first = Math.round(Math.log10(low));
  return Array.from({ length: Math.round(Math.log10(high)) - first + 1 }, (___, index) => 10 ** (first + index));
}

function recent(_, low, high) {
  if (!high) return [now() - YOUNGEST, now()];
  return [Math.max(high - HISTORY, Math.min(low, high - YOUNGEST)), high];
}

const MINUTES = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const SECONDS = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });

function clockTimes(_, ticks, __, ___, step) {
  const format = step < 60 ? SECONDS : MINUTES;
  return ticks.map((second) => format.format(second * 1000));
}

// With the cursor elsewhere, the legend shows the newest second.
function restLegend(plot) {
  if (plot.cursor.left < 0 && plot.data[0].length) plot.setLegend({ idx: plot.data[0].length - 1 }, false);
}
