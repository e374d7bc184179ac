// The charts of the pool and the stores, and plans shown in a dialog without leaving the page.

import { Chart } from "../charts.js";
import { count, duration, rate } from "../units.js";
import { onEvent } from "../view.js";

const place = (id) => document.getElementById(id);

if (place("in-use")) {
  const pool = new Chart(place("in-use"), {
    label: "Database connections in use over time",
    left: { format: count, least: 2 },
    clock: false,
    lines: [{ column: "pool_in_use", label: "in use", colour: "--series-1", fill: true }],
  });
  new Chart(place("gave-up"), {
    label: "Requests a second that gave up waiting for a connection, over time",
    left: { format: rate, least: 1 },
    lines: [{ column: "pool_timeouts", label: "gave up waiting", colour: "--bad", fill: true }],
  });
  new Chart(place("how-long"), {
    label: "How long queries, commands and waiting for a connection take at p95, over time",
    left: { format: duration, logarithmic: true },
    lines: [
      { column: "sql_p95", label: "queries", colour: "--series-1", percentile: true },
      { column: "redis_p95", label: "commands", colour: "--series-2", dash: [2, 3], percentile: true },
      { column: "pool_wait_p95", label: "waiting", colour: "--series-3", dash: [5, 3], percentile: true },
    ],
  });
  let size = null;
  onEvent(({ data }) => {
    if (data?.pool_size == null || data.pool_size === size) return;
    size = data.pool_size;
    pool.change({ thresholds: [{ value: size, label: `pool size ${count(size)}` }] });
  });
}

const form = place("explain");
const dialog = place("plan-dialog");
let asking = false; // a button that were disabled meanwhile would lose the focus

form?.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (asking) return;
  asking = true;
  show(await explained(new URLSearchParams(new FormData(form, event.submitter))));
  asking = false;
});

// The answer is the whole page with the plan in it, as without scripts; a refusal is the notice on it.
async function explained(body) {
  try {
    const answer = await fetch(form.action, { method: "POST", body });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const found = page.getElementById("plan");
    if (found) return [...found.childNodes];
    if (answer.redirected) location.reload();
    return [message(page.querySelector("[role=alert]")?.textContent ?? "The console has no plan to show.")];
  } catch {
    return [message("The console did not answer; try again.")];
  }
}

function message(text) {
  const told = document.createElement("p");
  told.id = "plan-title";
  told.className = "wrong";
  told.textContent = text;
  return told;
}

function show(nodes) {
  document.querySelector("section#plan")?.remove();
  dialog.replaceChildren(...nodes);
  let close = place("plan-close");
  if (!close) {
    close = dialog.appendChild(document.createElement("button"));
    close.textContent = "Close";
  }
  close.hidden = false;
  close.addEventListener("click", () => dialog.close());
  if (!dialog.open) dialog.showModal();
  place("plan-title").focus();
}
