// The list of kept traces: rows stay under the eye while new ones are counted; a click shows them.

import { patch } from "./patch.js";
import { onEvent } from "./view.js";

const rows = () => new Set([...document.querySelectorAll("#kept [data-key]")].map((row) => row.dataset.key));

export function countFresh() {
  const button = document.getElementById("fresh");
  if (!button) return;
  onEvent(({ data }) => {
    if (!data?.kept) return;
    const shown = rows();
    const fresh = data.kept.filter((key) => !shown.has(key)).length;
    button.hidden = !fresh;
    button.textContent = `${fresh} new`;
  });
  button.addEventListener("click", async () => {
    button.hidden = true;
    const answer = await fetch(location.href).catch(() => null);
    if (answer?.status === 401) location.reload();
    if (!answer?.ok) {
      button.hidden = false;
      return;
    }
    const list = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("kept");
    for (const part of [".heading h2", "tbody"]) patch(document.querySelector(`#kept ${part}`), list.querySelector(part).innerHTML);
  });
}

// Fields that are empty say nothing, and need not stand in the address.
export function leaveOutEmpty(form) {
  form?.addEventListener("formdata", ({ formData }) => {
    for (const [name, value] of [...formData]) if (value === "") formData.delete(name);
  });
}
