// Light, dark, or as the system has it. The choice is a cookie, so that the server paints the first picture in it.

const NEXT = { "": "dark", dark: "light", light: "" };
const SAID = { "": "auto", dark: "dark", light: "light" };

export function choose(button, base) {
  const root = document.documentElement;
  const show = () => {
    const said = SAID[root.dataset.theme ?? ""];
    button.textContent = `Theme: ${said}`;
  };
  button.hidden = false;
  show();
  button.addEventListener("click", () => {
    const theme = NEXT[root.dataset.theme ?? ""];
    if (theme) root.dataset.theme = theme;
    else delete root.dataset.theme;
    document.cookie = `console_theme=${theme}; path=${base}; max-age=${theme ? 31536000 : 0}; samesite=strict`;
    show();
    document.dispatchEvent(new Event("themechange"));
  });
}
