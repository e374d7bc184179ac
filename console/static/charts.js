// Line charts fed from columns by name, with one cursor and one time. What is missing is a gap; nothing is drawn as zero
// that is not. A chart is a place and a spec:
//   new Chart(element, {
//     label,                              what a screen reader is told it is
//     left, right,                        axes: { format, least, most, logarithmic, binary: ticks are powers of two }
//     lines: [{ column, label, colour, right, fill, dash, percentile }],
//     thresholds: [{ value, label, right }],
//     samples: "rate",                    the column to count samples by, told on hover
//     sample: "request",                  what one of them is
//     clock: false,                       no times under it, when another chart stands below
//     columns, marks, sync,               its own instead of the stream's, and those it shares a cursor with: it zooms by itself
//     elapsed: true,                      its columns are seconds after a start, not moments
//   })

import { colours, drawMarks, drawThresholds, markAt } from "./drawing.js";
import { POWERS, SECONDS, bounds, clockTimes, lengths, readable } from "./scales.js";
import { bare, count } from "./units.js";
import { go, onEvent, view } from "./view.js";

const SYNC = "console";
const YOUNGEST = 60; // seconds shown at least, so that a young service is not a line at the edge
const SHORTEST = 10; // seconds that can be zoomed to
const LEGEND = 24; // the height of its first line, above the plot
const ERROR_BOUND = "±2.2 %"; // of percentiles, by the width of the histogram's buckets

const charts = [];
const columns = { at: [] };
let marks = [];

onEvent(({ points, data }) => {
  if (data?.marks) marks = data.marks;
  if (points) add(points);
});

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
document.addEventListener("themechange", redraw);

export class Chart {
  constructor(place, spec) {
    this.place = place;
    this.spec = { thresholds: [], clock: true, sample: "request", ...spec };
    place.setAttribute("role", "img");
    place.setAttribute("aria-label", spec.label);
    if (typeof uPlot === "undefined") return;
    this.build();
    this.resized = new ResizeObserver(() => this.fit());
    this.resized.observe(place);
    this.resized.observe(this.legend());
    charts.push(this);
  }

  legend() {
    return this.plot.root.querySelector(".u-legend");
  }

  // In a narrow window the legend takes lines of its own, and keeps them, so that nothing jumps with the figures in it.
  fit() {
    const { clientWidth: width, clientHeight } = this.place;
    if (width !== this.plot.width) {
      this.plot.setSize(size(this.place)); // the legend is as wide as the plot
      this.lines = LEGEND;
    }
    this.lines = Math.max(this.lines ?? LEGEND, this.legend().offsetHeight);
    if (clientHeight - this.lines !== this.plot.height) this.plot.setSize({ width, height: clientHeight - this.lines });
  }

  build() {
    if (this.plot) this.resized.unobserve(this.legend());
    this.plot?.destroy();
    this.plot = new uPlot(options(this), this.data(), this.place);
    this.resized?.observe(this.legend());
    this.note = this.plot.over.appendChild(document.createElement("div"));
    this.note.className = "mark-note";
    this.note.hidden = true;
    this.show();
  }

  // Thresholds that come with events, or a spec that depends on them.
  change(spec) {
    Object.assign(this.spec, spec);
    if (this.plot) this.build();
  }

  data() {
    const source = this.spec.columns ?? columns;
    const of = (name) => source[name] ?? Array(source.at.length).fill(null);
    const drawn = this.spec.lines.map(({ column }) => of(column));
    return [source.at, ...drawn, ...(this.spec.samples ? [samples(of(this.spec.samples))] : [])];
  }

  // Other columns of its own.
  feed(own, marked = []) {
    Object.assign(this.spec, { columns: own, marks: marked });
    if (this.plot) this.show();
  }

  show() {
    this.plot.setData(this.data());
    rest(this.plot);
  }
}

function redraw() {
  for (const chart of charts) chart.build();
}

function add(points) {
  const known = columns.at.at(-1) ?? 0;
  const names = Object.keys(points).filter((name) => name !== "at");
  points.at.forEach((second, index) => {
    if (second <= known) return;
    const before = columns.at.at(-1);
    if (before !== undefined && second - before > view.step) push(before + view.step, names, () => null);
    push(second, names, (name) => points[name][index]);
  });
  for (const chart of charts) if (!chart.spec.columns) chart.show();
}

function push(second, names, value) {
  const length = columns.at.push(second);
  for (const name of names) {
    columns[name] ??= Array(length - 1).fill(null);
    columns[name].push(value(name) ?? null);
  }
  const past = columns.at.findIndex((at) => at > second - view.range);
  if (past > 0) for (const column of Object.values(columns)) column.splice(0, past);
}

// Percentiles of single seconds are over ten of them.
function samples(rates) {
  if (view.step > 1) return rates.map((rate) => (rate == null ? null : rate * view.step));
  return rates.map((rate, index) => (rate == null ? null : rates.slice(Math.max(0, index - 9), index + 1).reduce((sum, one) => sum + (one ?? 0), 0)));
}

function size(place) {
  return { width: place.clientWidth, height: place.clientHeight - LEGEND };
}

function options(chart) {
  const { place, spec } = chart;
  const colour = colours();
  const font = `11px ${getComputedStyle(document.documentElement).fontFamily}`;
  const axis = { stroke: colour("--soft"), font, ticks: { show: false }, grid: { stroke: colour("--grid"), width: 1 } };
  const valued = ({ format, logarithmic, binary }) => ({
    ...axis,
    size: 62,
    space: place.clientHeight > 150 ? 38 : 26,
    splits: logarithmic ? readable : undefined,
    incrs: binary ? POWERS : undefined,
    filter: logarithmic ? (_, ticks) => ticks : undefined,
    values: (_, ticks) => ticks.map((tick) => (tick == null ? "" : bare(format)(tick))),
  });
  const own = Boolean(spec.columns);
  const scales = { x: { range: own ? whole : shown, time: !spec.elapsed }, left: bounds(spec.left, spec.thresholds.filter(({ right }) => !right)) };
  const times = { ...axis, size: spec.clock ? 26 : 6, space: 64, incrs: [1, 2, 5, 10, 15, 30, 60, 120, 300, 600], grid: { show: false } };
  const axes = [{ ...times, values: !spec.clock ? () => [] : spec.elapsed ? lengths : clockTimes }, { ...valued(spec.left), scale: "left" }];
  if (spec.right) {
    scales.right = bounds(spec.right, spec.thresholds.filter(({ right }) => right));
    axes.push({ ...valued(spec.right), scale: "right", side: 1, grid: { show: false } });
  }
  return {
    ...size(place),
    scales,
    axes,
    padding: [10, spec.right ? 0 : 24, 0, 0],
    legend: { live: true, markers: { width: 0, fill: (_, index) => swatch(spec.lines[index - 1], colour) } },
    cursor: {
      sync: { key: spec.sync ?? SYNC },
      drag: { x: true, y: false, setScale: own },
      points: { size: 7 },
      y: false,
      bind: own ? {} : { dblclick: () => () => document.getElementById("live")?.click() },
    },
    series: [{}, ...spec.lines.map((line) => series(line, spec, colour)), ...(spec.samples ? [counted(spec.sample)] : [])],
    hooks: {
      draw: [(plot) => drawThresholds(plot, spec.thresholds, colour), (plot) => drawMarks(plot, spec.marks ?? marks, colour)],
      setCursor: [rest, (plot) => tellMark(plot, chart.note, spec.marks ?? marks)],
      setSelect: own ? [] : [zoom],
    },
  };
}

// A stretch of the line as it is drawn: whole, dashed or dotted.
function swatch(line, colour) {
  if (!line) return "none";
  const [on, off] = line.dash ?? [1, 0];
  return `repeating-linear-gradient(90deg, ${colour(line.colour)} 0 ${on}px, transparent ${on}px ${on + off}px)`;
}

function series({ label, colour: name, right, fill, dash, percentile }, spec, colour) {
  const { format } = right ? spec.right : spec.left;
  const bound = (plot) => (percentile && plot.cursor.left >= 0 ? ` ${ERROR_BOUND}` : "");
  return {
    label,
    dash,
    scale: right ? "right" : "left",
    stroke: colour(name),
    width: 1.5,
    fill: fill ? `color-mix(in srgb, ${colour(name)} 10%, transparent)` : undefined,
    points: { show: lonely },
    spanGaps: false,
    value: (plot, value) => format(value) + (value == null ? "" : bound(plot)),
  };
}

// How many samples a column rests on stands in the legend, and is drawn nowhere.
function counted(sample) {
  const told = (value) => (value == null ? "" : `${count(value)} ${sample}${Math.round(value) === 1 ? "" : "s"}`);
  return { label: "of", class: "samples", scale: "samples", paths: () => null, points: { show: false }, value: (_, value) => told(value) };
}

// A column between two gaps is no line: it is drawn as a point.
function lonely(plot, index, first, last) {
  const column = plot.data[index];
  const found = [];
  for (let at = first; at <= last; at += 1) if (column[at] != null && column[at - 1] == null && column[at + 1] == null) found.push(at);
  return found.length > 0 && found;
}

function shown(_, low, high) {
  const end = view.until ?? high ?? Math.floor(Date.now() / 1000);
  if (view.until || low == null) return [end - view.range, end];
  return [Math.max(end - view.range, Math.min(low, end - YOUNGEST)), end];
}

// From the first column to the last, or what was dragged over.
function whole(_, low, high) {
  return low == null ? [0, 1] : [low, Math.max(high, low + 1)];
}

// With the cursor elsewhere, the legend shows the newest column.
function rest(plot) {
  if (plot.cursor.left < 0 && plot.data[0].length) plot.setLegend({ idx: plot.data[0].length - 1 }, false);
}

function tellMark(plot, note, marked) {
  const mark = plot.over.matches(":hover") ? markAt(plot, marked) : null;
  note.hidden = !mark;
  if (!mark) return;
  note.textContent = `${SECONDS.format(mark.at * 1000)} ${mark.text}`;
  const left = plot.cursor.left;
  note.style.left = left < plot.over.clientWidth / 2 ? `${left + 10}px` : "auto";
  note.style.right = left < plot.over.clientWidth / 2 ? "auto" : `${plot.over.clientWidth - left + 10}px`;
}

// What is dragged over becomes the time that is looked at, of every chart and in the URL.
function zoom(plot) {
  const { left, width } = plot.select;
  if (width < 4) return;
  const from = plot.posToVal(left, "x");
  const until = plot.posToVal(left + width, "x");
  go({ range: Math.max(SHORTEST, Math.ceil(until - from)), until: Math.ceil(until) });
}
