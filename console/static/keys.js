// Keyboard shortcuts. An element names its own in data-keys ("p", or "g o" for two in a row); pressing them is clicking
// it, or going into it when it is a field. The sheet that "?" opens lists whatever the page has.

const PATIENCE = 1200; // milliseconds in which the second key of two has to come

let first = "";
let waiting = 0;

export function listen() {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, select, textarea")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (document.querySelector("dialog[open]")) return;
    const found = keyed(first ? `${first} ${event.key}` : event.key);
    forget();
    if (found) {
      event.preventDefault();
      use(found);
    } else if (startsTwo(event.key)) {
      first = event.key;
      waiting = setTimeout(forget, PATIENCE);
    }
  });
  const sheet = document.getElementById("keys");
  const help = document.getElementById("help");
  help.hidden = false;
  help.addEventListener("click", () => {
    sheet.querySelector("dl").replaceChildren(...[...all()].map(row));
    sheet.showModal();
  });
}

const all = () => [...document.querySelectorAll("[data-keys]")].filter((element) => !element.hidden);
const keyed = (keys) => all().find((element) => element.dataset.keys === keys);
const startsTwo = (key) => all().some((element) => element.dataset.keys.startsWith(`${key} `));

function forget() {
  clearTimeout(waiting);
  first = "";
}

function use(element) {
  if (element.matches("input, select, textarea")) element.focus();
  else element.click();
}

function row(element) {
  const pair = document.createElement("div");
  const keys = pair.appendChild(document.createElement("dt"));
  for (const key of element.dataset.keys.split(" ")) keys.appendChild(document.createElement("kbd")).textContent = key === "Escape" ? "Esc" : key;
  pair.appendChild(document.createElement("dd")).textContent = (element.title || element.textContent).replace(/ \([^)]*\)$/, "");
  return pair;
}
