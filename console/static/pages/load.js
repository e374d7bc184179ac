// Sends the start and stop forms without leaving the page; a refusal is shown in the server's words.

const notice = document.getElementById("load-notice");

document.getElementById("load").addEventListener("submit", async (event) => {
  event.preventDefault();
  const { target: form, submitter } = event;
  const body = new URLSearchParams(new FormData(form, submitter)); // a disabled button would say nothing
  if (submitter) submitter.disabled = true; // the next event renders the button as it should be
  const refusal = await send(form.action, body);
  notice.textContent = refusal;
  notice.hidden = !refusal;
  if (refusal && submitter) submitter.disabled = false;
});

async function send(action, body) {
  try {
    const answer = await fetch(action, { method: "POST", headers: { Accept: "application/json" }, body });
    if (answer.status === 401) location.reload();
    return answer.ok ? "" : (await answer.json()).message;
  } catch {
    return "The console did not answer; try again.";
  }
}
