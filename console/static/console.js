// The page lives from here: one stream, parts patched in place, charts fed, forms sent without leaving the page.

import { Charts } from "./charts.js";
import { sendLoadForms } from "./load.js";
import { patch } from "./patch.js";
import { follow } from "./stream.js";

const header = document.querySelector("[data-events]");
const charts = new Charts(document.querySelectorAll("[data-chart]"));
const broken = document.getElementById("broken");

follow({
  events: header.dataset.events,
  session: header.dataset.session,
  onEvent({ parts, points }) {
    for (const [name, html] of Object.entries(parts)) {
      const place = document.querySelector(`[data-part="${name}"]`);
      if (place) patch(place, html);
    }
    charts.add(points);
  },
  onConnection(sentence) {
    broken.hidden = !sentence;
    broken.textContent = sentence;
  },
});
sendLoadForms(document.getElementById("load"));
