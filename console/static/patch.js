// Makes an element's children what the server rendered, touching only what differs, so that focus, selection, scrolled
// tables and running transitions stay as they are. Children with a data-key are recognised wherever they move.

export function patch(place, html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  patchChildren(place, template.content);
}

function patchChildren(old, fresh) {
  const keyed = new Map();
  for (const child of old.children) if (child.dataset?.key) keyed.set(child.dataset.key, child);
  let present = old.firstChild;
  for (const wanted of [...fresh.childNodes]) {
    const key = wanted.dataset?.key;
    const match = key ? keyed.get(key) : alike(present, wanted) ? present : null;
    if (!match) {
      old.insertBefore(wanted, present);
      continue;
    }
    if (match === present) present = present.nextSibling;
    else old.insertBefore(match, present);
    patchNode(match, wanted);
  }
  while (present) {
    const next = present.nextSibling;
    present.remove();
    present = next;
  }
}

function alike(old, fresh) {
  return old && old.nodeType === fresh.nodeType && old.nodeName === fresh.nodeName && !old.dataset?.key;
}

function patchNode(old, fresh) {
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return;
  }
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name) && !isTheReaders(old, name)) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value && !isTheReaders(old, name)) old.setAttribute(name, value);
  patchChildren(old, fresh);
}

// Whoever reads has folded it, or unfolded it.
function isTheReaders(element, name) {
  return name === "open" && element.nodeName === "DETAILS";
}
