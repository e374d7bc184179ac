// What is drawn over a chart's lines: thresholds, and marks of what happened.

const probe = document.body.appendChild(document.createElement("i"));
probe.hidden = true;

// Reads colours as the page's theme has them, each once.
export function colours() {
  const known = {};
  return (name) => {
    if (known[name] === undefined) {
      probe.style.color = `var(${name})`;
      known[name] = getComputedStyle(probe).color;
    }
    return known[name];
  };
}

export function drawThresholds(plot, thresholds, colour) {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.lineWidth = devicePixelRatio;
  ctx.setLineDash([2 * devicePixelRatio, 3 * devicePixelRatio]);
  ctx.strokeStyle = ctx.fillStyle = colour("--bad");
  ctx.font = `${11 * devicePixelRatio}px ${getComputedStyle(document.documentElement).fontFamily}`;
  ctx.textAlign = "left";
  for (const { value, label, right } of thresholds) {
    const y = Math.round(plot.valToPos(value, right ? "right" : "left", true));
    if (!(y >= bbox.top && y <= bbox.top + bbox.height)) continue;
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
    words(ctx, label, bbox.left + 4 * devicePixelRatio, y - 4 * devicePixelRatio, colour("--surface"));
  }
  ctx.restore();
}

// On a rim of the ground, so that they are read over lines.
function words(ctx, text, x, y, ground) {
  ctx.save();
  ctx.setLineDash([]);
  ctx.strokeStyle = ground;
  ctx.lineWidth = 3 * devicePixelRatio;
  ctx.lineJoin = "round";
  ctx.strokeText(text, x, y);
  ctx.restore();
  ctx.fillText(text, x, y);
}

export const markColour = (kind) => KINDS[kind] ?? "--soft";

const KINDS = { deploy: "--series-3", setting: "--accent", load: "--soft", alert: "--bad", worker: "--series-2" };

export function drawMarks(plot, marks, colour) {
  const { ctx, bbox } = plot;
  const { min, max } = plot.scales.x;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top - 8 * devicePixelRatio, bbox.width, bbox.height + 8 * devicePixelRatio);
  ctx.clip();
  for (const mark of marks) {
    if ((mark.until ?? mark.at) < min || mark.at > max) continue;
    const x = Math.round(plot.valToPos(mark.at, "x", true));
    ctx.strokeStyle = ctx.fillStyle = colour(markColour(mark.kind));
    if (mark.until) {
      ctx.globalAlpha = 0.45; // a bar along the top for as long as it lasted
      ctx.fillRect(x, bbox.top - 3 * devicePixelRatio, plot.valToPos(mark.until, "x", true) - x, 3 * devicePixelRatio);
      ctx.globalAlpha = 1;
    }
    line(ctx, x, bbox);
  }
  ctx.restore();
}

function line(ctx, x, { top, height }) {
  const half = 4 * devicePixelRatio;
  ctx.lineWidth = devicePixelRatio;
  ctx.setLineDash([4 * devicePixelRatio, 3 * devicePixelRatio]);
  ctx.beginPath();
  ctx.moveTo(x, top);
  ctx.lineTo(x, top + height);
  ctx.stroke();
  ctx.beginPath();
  ctx.moveTo(x - half, top - 2 * half);
  ctx.lineTo(x + half, top - 2 * half);
  ctx.lineTo(x, top);
  ctx.fill();
}

// The mark under the cursor, if it is within a few pixels.
export function markAt(plot, marks) {
  const near = marks
    .map((mark) => ({ mark, distance: Math.abs(plot.valToPos(mark.at, "x") - plot.cursor.left) }))
    .filter(({ distance }) => distance < 8)
    .sort((one, other) => one.distance - other.distance);
  return near[0]?.mark;
}
