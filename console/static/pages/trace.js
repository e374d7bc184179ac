// One trace: its id can be copied.

const button = document.getElementById("copy");
const id = document.getElementById("trace-id");
const copied = document.getElementById("copied");

button.hidden = false;
button.addEventListener("click", async () => {
  copied.textContent = (await copy(id.textContent)) ? "Copied" : "Selected; copy it by hand";
});

// Without a secure context there is no clipboard to write to; then the id is selected at least.
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    getSelection().selectAllChildren(id);
    return false;
  }
}
