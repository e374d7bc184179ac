// Sends a form without leaving the page. The next event renders its buttons as they should be.

// Returns nothing, or the refusal: { message, field }.
export async function send({ target: form, submitter }) {
  const body = new URLSearchParams(new FormData(form, submitter)); // a disabled button would say nothing
  if (submitter) submitter.disabled = true;
  const refused = await post(submitter?.hasAttribute("formaction") ? submitter.formAction : form.action, body);
  if (submitter && (refused || !submitter.closest("[data-part]"))) submitter.disabled = false;
  return refused;
}

async function post(action, body) {
  try {
    const answer = await fetch(action, { method: "POST", headers: { Accept: "application/json" }, body });
    if (answer.status === 401) location.reload();
    return answer.ok ? null : await answer.json();
  } catch {
    return { message: "The console did not answer; try again." };
  }
}

// Shows a refusal beside its field, else where the form's own notice stands: ids `<form>-<field>-notice`, `<form>-notice`.
export function tellRefusal(form, refused) {
  for (const notice of document.querySelectorAll(`[id^="${form}-"][id$="-notice"]`)) {
    notice.hidden = true;
    notice.textContent = "";
  }
  for (const input of document.querySelectorAll(`[id^="${form}-"][aria-invalid]`)) input.removeAttribute("aria-invalid");
  if (!refused) return;
  const beside = refused.field && document.getElementById(`${form}-${refused.field}-notice`);
  const notice = beside || document.getElementById(`${form}-notice`);
  notice.textContent = refused.message;
  notice.hidden = false;
  if (!beside) return;
  const input = document.getElementById(`${form}-${refused.field}`);
  input.setAttribute("aria-invalid", "true");
  input.focus();
}
