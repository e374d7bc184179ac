// What every page does: one stream, parts patched in place, time held and let go, keys, theme.

import { listen } from "./keys.js";
import { patch } from "./patch.js";
import { follow } from "./stream.js";
import { choose } from "./theme.js";
import { asked, onEvent, tell, view, where } from "./view.js";

const byId = (id) => document.getElementById(id);
const broken = byId("broken");

onEvent(({ parts }) => {
  for (const [name, html] of Object.entries(parts)) {
    const place = document.querySelector(`[data-part="${name}"]`);
    if (place) patch(place, html);
  }
});

const stream = follow({
  events: `${view.events}?${asked()}`,
  session: view.session,
  onEvent(event) {
    tell(event);
    if (view.until) stream.end(); // what is past does not change
  },
  onConnection(sentence) {
    broken.hidden = !sentence;
    broken.textContent = sentence;
  },
});

const pause = byId("pause");
if (pause) {
  pause.hidden = false;
  pause.disabled = Boolean(view.until);
  pause.addEventListener("click", hold);
  byId("live").addEventListener("click", (event) => {
    if (event.currentTarget.hidden) event.preventDefault();
  });
}

// Everything stays as it is seen; the URL says which moment that is, and so do the links to other pages and ranges.
function hold() {
  stream.end();
  const until = Math.floor(Date.now() / 1000);
  const back = byId("live");
  back.href = location.href;
  back.hidden = false;
  pause.textContent = "Paused";
  pause.disabled = true;
  byId("held").textContent = `Held at ${new Date(until * 1000).toISOString().slice(11, 19)} UTC.`;
  byId("held").hidden = false;
  document.documentElement.dataset.held = "";
  history.replaceState(null, "", where({ until }));
  for (const link of document.querySelectorAll("a[data-view]")) {
    const url = new URL(link.href);
    url.searchParams.set("until", until);
    link.href = url.href;
  }
}

// In a narrow window the navigation scrolls: the page that is shown is in sight.
document.querySelector("nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });

choose(byId("theme"), view.base);
listen();
