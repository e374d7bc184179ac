// What is looked at: the page, its time and its own arguments, all of which stand in the URL.

const header = document.querySelector("[data-events]");

export const view = {
  page: header.dataset.page,
  base: header.dataset.base,
  range: Number(header.dataset.range),
  step: Number(header.dataset.step),
  until: header.dataset.until ? Number(header.dataset.until) : null,
  events: header.dataset.events,
  session: header.dataset.session,
};

// The query of the page's event stream: the same as the page's own, and what the page has in its path.
export function asked() {
  const query = new URLSearchParams({ page: view.page });
  for (const { name, value } of header.attributes) {
    if (name.startsWith("data-ask-")) query.set(name.slice(9), value);
  }
  query.set("range", view.range);
  if (view.until) query.set("until", view.until);
  return query;
}

// The present URL with changes; null takes an argument away.
export function where(changes) {
  const url = new URL(location.href);
  for (const [name, value] of Object.entries(changes)) {
    if (value == null || value === "") url.searchParams.delete(name);
    else url.searchParams.set(name, value);
  }
  return url.href;
}

export const go = (changes) => location.assign(where(changes));

const listeners = [];

// Has a function called with every event of the stream: { points, data, parts }.
export const onEvent = (listener) => listeners.push(listener);

export function tell(event) {
  for (const listener of listeners) listener(event);
}
