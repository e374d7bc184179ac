// A heatmap of requests by time and latency on a canvas: the more requests, the stronger the one colour, so that it reads
// in both themes and to every eye. Dragging over it brushes: onBrush is told whole cells, as { since, to, least, most }.

import { colours, markColour } from "./drawing.js";
import { bare, count, duration } from "./units.js";
import { SECONDS, MINUTES } from "./scales.js";
import { view } from "./view.js";

const LEFT = 62; // as the axes of the charts below
const RIGHT = 24;
const TOP = 10;
const BOTTOM = 26;
const YOUNGEST = 60; // seconds shown at least
const FAINTEST = 0.14;

export class Heatmap {
  constructor(place, { target, onBrush }) {
    this.place = place;
    this.target = target;
    this.map = { step: 10, at: [], bounds: [], counts: [] };
    this.brush = null;
    this.marks = [];
    this.drag = null;
    this.canvas = place.appendChild(document.createElement("canvas"));
    this.note = place.appendChild(document.createElement("div"));
    this.note.className = "mark-note";
    this.note.hidden = true;
    this.onBrush = onBrush;
    new ResizeObserver(() => this.draw()).observe(place);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    document.addEventListener("themechange", () => this.draw());
    this.canvas.addEventListener("pointerdown", (event) => this.begin(event));
    this.canvas.addEventListener("pointermove", (event) => this.move(event));
    this.canvas.addEventListener("pointerup", (event) => this.end(event));
    this.canvas.addEventListener("pointercancel", () => this.let());
    this.canvas.addEventListener("pointerleave", () => (this.note.hidden = true));
  }

  mark(marks) {
    this.marks = marks;
    if (!this.drag) this.draw();
  }

  show(map, brush) {
    this.fresh = { map: map ?? this.fresh?.map ?? this.map, brush: brush === undefined ? (this.fresh?.brush ?? null) : brush };
    if (this.drag) return; // what is under a hand does not move
    Object.assign(this, this.fresh);
    this.draw();
  }

  // Where time and latency are on the canvas, and what cell a point is in.

  measure() {
    const { at, bounds, counts, step } = this.map;
    const first = counts.findIndex((column) => column !== null);
    const end = view.until ?? at.at(-1) ?? Math.floor(Date.now() / 1000);
    const known = first < 0 ? end : at[first] - step;
    this.from = view.until ? end - view.range : Math.max(end - view.range, Math.min(known, end - YOUNGEST));
    this.to = end;
    this.width = this.place.clientWidth - LEFT - RIGHT;
    this.height = this.place.clientHeight - TOP - BOTTOM;
    const ends = [...bounds, ...(this.target ? [this.target * 1.4, this.target / 1.4] : [])];
    this.low = Math.log2(Math.min(...ends));
    this.high = Math.log2(Math.max(...ends));
  }

  x(second) {
    return LEFT + (this.width * (second - this.from)) / (this.to - this.from);
  }

  y(seconds) {
    return TOP + this.height * (1 - (Math.log2(seconds) - this.low) / (this.high - this.low));
  }

  cell({ offsetX, offsetY }) {
    const { at, bounds, step } = this.map;
    if (!bounds.length) return null;
    const second = this.from + ((Math.min(Math.max(offsetX, LEFT), LEFT + this.width) - LEFT) / this.width) * (this.to - this.from);
    const share = 1 - (Math.min(Math.max(offsetY, TOP), TOP + this.height) - TOP) / this.height;
    const seconds = 2 ** (this.low + share * (this.high - this.low));
    const column = at.findIndex((ends) => second <= ends);
    const band = bounds.findLastIndex((bound) => seconds > bound);
    const last = bounds.length - 2;
    return { column: second <= at[0] - step ? 0 : column < 0 ? at.length - 1 : column, band: Math.min(Math.max(band, 0), last) };
  }

  // Drawing

  draw() {
    this.measure();
    const scale = devicePixelRatio;
    this.canvas.width = this.place.clientWidth * scale;
    this.canvas.height = this.place.clientHeight * scale;
    const ctx = this.canvas.getContext("2d");
    ctx.scale(scale, scale);
    ctx.font = `11px ${getComputedStyle(document.documentElement).fontFamily}`;
    const colour = colours();
    this.axes(ctx, colour);
    if (!this.map.bounds.length) return this.say(ctx, colour);
    ctx.save();
    ctx.beginPath();
    ctx.rect(LEFT, TOP, this.width, this.height);
    ctx.clip();
    this.cells(ctx, colour);
    this.frame(ctx, colour, this.drag ? this.dragged() : this.brush);
    this.happenings(ctx, colour);
    ctx.restore();
    this.line(ctx, colour);
  }

  say(ctx, colour) {
    ctx.fillStyle = colour("--soft");
    ctx.textAlign = "center";
    ctx.fillText("No request in this time", LEFT + this.width / 2, TOP + this.height / 2);
  }

  cells(ctx, colour) {
    const { at, bounds, counts, step } = this.map;
    const most = Math.max(1, ...counts.flatMap((column) => column ?? []));
    counts.forEach((column, index) => {
      const left = this.x(at[index] - step);
      const width = this.x(at[index]) - left;
      const gap = width > 5 ? 1 : 0;
      if (column === null) return this.hatch(ctx, colour, left, width);
      ctx.fillStyle = colour("--heat");
      column.forEach((requests, band) => {
        if (!requests) return;
        const top = this.y(bounds[band + 1]);
        ctx.globalAlpha = FAINTEST + (1 - FAINTEST) * Math.sqrt(requests / most);
        ctx.fillRect(left, top, Math.max(width - gap, 1), this.y(bounds[band]) - top - 1);
      });
      ctx.globalAlpha = 1;
    });
  }

  // As over the lines of other charts: a bar along the top for as long as it lasted, a dashed line where it began.
  happenings(ctx, colour) {
    for (const { kind, at, until } of this.marks) {
      const x = this.x(at);
      ctx.strokeStyle = ctx.fillStyle = colour(markColour(kind));
      ctx.globalAlpha = 0.45;
      if (until) ctx.fillRect(x, TOP, this.x(until) - x, 3);
      ctx.globalAlpha = 1;
      ctx.setLineDash([4, 3]);
      ctx.beginPath();
      ctx.moveTo(x, TOP);
      ctx.lineTo(x, TOP + this.height);
      ctx.stroke();
      ctx.setLineDash([]);
    }
  }

  // Time in which nobody was heard is no time without requests.
  hatch(ctx, colour, left, width) {
    ctx.save();
    ctx.beginPath();
    ctx.rect(left, TOP, width, this.height);
    ctx.clip();
    ctx.strokeStyle = colour("--line");
    ctx.beginPath();
    const start = Math.floor((left - this.height) / 8) * 8;
    for (let x = start; x < left + width; x += 8) {
      ctx.moveTo(x, TOP + this.height);
      ctx.lineTo(x + this.height, TOP);
    }
    ctx.stroke();
    ctx.restore();
  }

  axes(ctx, colour) {
    ctx.lineWidth = 1;
    ctx.strokeStyle = colour("--grid");
    ctx.fillStyle = colour("--soft");
    ctx.textAlign = "right";
    ctx.textBaseline = "middle";
    for (const seconds of this.map.bounds.length ? readable(this.low, this.high, this.height) : []) {
      const y = Math.round(this.y(seconds)) + 0.5;
      ctx.beginPath();
      ctx.moveTo(LEFT, y);
      ctx.lineTo(LEFT + this.width, y);
      ctx.stroke();
      ctx.fillText(bare(duration)(seconds), LEFT - 10, y);
    }
    ctx.textAlign = "center";
    ctx.textBaseline = "top";
    const step = [5, 10, 15, 30, 60, 120, 300, 600, 900].find((each) => (each / (this.to - this.from)) * this.width >= 64) ?? 1800;
    for (let second = Math.ceil(this.from / step) * step; second <= this.to; second += step) {
      ctx.fillText((step < 60 ? SECONDS : MINUTES).format(second * 1000), this.x(second), TOP + this.height + 9);
    }
  }

  line(ctx, colour) {
    if (!this.target) return;
    const y = Math.round(this.y(this.target)) + 0.5;
    ctx.strokeStyle = ctx.fillStyle = colour("--bad");
    ctx.lineWidth = 1;
    ctx.setLineDash([4, 3]);
    ctx.beginPath();
    ctx.moveTo(LEFT, y);
    ctx.lineTo(LEFT + this.width, y);
    ctx.stroke();
    ctx.setLineDash([]);
    ctx.textAlign = "left";
    ctx.textBaseline = y - TOP < 16 ? "top" : "bottom";
    const label = `target ${bare(duration)(this.target)}`;
    const above = ctx.textBaseline === "bottom" ? y - 3 : y + 4;
    ctx.strokeStyle = colour("--surface");
    ctx.lineWidth = 3;
    ctx.strokeText(label, LEFT + 5, above);
    ctx.fillText(label, LEFT + 5, above);
  }

  frame(ctx, colour, brush) {
    if (!brush) return;
    const left = this.x(brush.since ?? this.from);
    const top = brush.most == null ? TOP : this.y(brush.most);
    const width = this.x(brush.to ?? this.to) - left;
    const height = (brush.least == null ? TOP + this.height : this.y(brush.least)) - top;
    ctx.strokeStyle = ctx.fillStyle = colour("--ink");
    ctx.globalAlpha = 0.08;
    ctx.fillRect(left, top, width, height);
    ctx.globalAlpha = 1;
    ctx.lineWidth = 1.5;
    ctx.strokeRect(left, top, width, height);
  }

  // Brushing

  begin(event) {
    const cell = event.button === 0 && this.cell(event);
    if (!cell || event.offsetX < LEFT) return;
    this.drag = { from: cell, to: cell };
    this.canvas.setPointerCapture(event.pointerId);
    this.draw();
  }

  move(event) {
    const cell = this.cell(event);
    if (cell && this.drag) {
      this.drag.to = cell;
      this.draw();
    }
    this.tell(event, cell);
  }

  end(event) {
    if (!this.drag) return;
    this.move(event);
    const brush = this.dragged();
    this.drag = null;
    this.onBrush(brush);
  }

  let() {
    this.drag = null;
    if (this.fresh) this.show();
  }

  dragged() {
    const { at, bounds, step } = this.map;
    const { from, to } = this.drag;
    return {
      since: at[Math.min(from.column, to.column)] - step,
      to: at[Math.max(from.column, to.column)],
      least: bounds[Math.min(from.band, to.band)],
      most: bounds[Math.max(from.band, to.band) + 1],
    };
  }

  tell(event, cell) {
    const inside = event.offsetX >= LEFT && event.offsetX <= LEFT + this.width && event.offsetY >= TOP && event.offsetY <= TOP + this.height;
    const column = cell && this.map.counts[cell.column];
    this.note.hidden = !inside || !cell || event.pointerType === "touch";
    if (this.note.hidden) return;
    const { at, bounds, step } = this.map;
    const time = `${SECONDS.format((at[cell.column] - step) * 1000)}–${SECONDS.format(at[cell.column] * 1000)}`;
    const requests = column ? column[cell.band] : null;
    const took = `${duration(bounds[cell.band])} to ${duration(bounds[cell.band + 1])}`;
    const near = this.marks.find(({ at: begun }) => Math.abs(this.x(begun) - event.offsetX) < 8);
    const told = column ? `${time} · ${took} · ${count(requests)} ${requests === 1 ? "request" : "requests"}` : `${time} · nobody was heard`;
    this.note.textContent = near ? `${told} · ${near.text}` : told;
    const right = event.offsetX > this.place.clientWidth / 2;
    this.note.style.left = right ? "auto" : `${event.offsetX + 14}px`;
    this.note.style.right = right ? `${this.place.clientWidth - event.offsetX + 14}px` : "auto";
    this.note.style.top = `${Math.max(0, event.offsetY - 34)}px`;
  }
}

// One, two and five of every decade, or the decades alone where there is no room.
function readable(low, high, height) {
  const steps = ((high - low) / Math.log2(10)) * 3 * 18 < height ? [1, 2, 5] : [1];
  const found = [];
  for (let decade = Math.floor(low / Math.log2(10)); decade <= high / Math.log2(10); decade += 1) {
    for (const step of steps) {
      const seconds = step * 10 ** decade;
      if (Math.log2(seconds) >= low && Math.log2(seconds) <= high) found.push(seconds);
    }
  }
  return found;
}
