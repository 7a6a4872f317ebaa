// Before anything is painted: the reader's language and theme. Then the switches in the page's head.
(() => {
  // Widgets give up on their own code after two seconds (anywidget, Runtime). On a busy computer they had better come late.
  const timeout = AbortSignal.timeout.bind(AbortSignal);
  AbortSignal.timeout = (wait) => timeout(Math.max(wait, 120_000));
  const root = document.documentElement;
  const kept = (key) => { try { return localStorage.getItem(`quiebra.${key}`); } catch { return null; } };
  const keep = (key, value) => { try { localStorage.setItem(`quiebra.${key}`, value); } catch { /* a private window forgets */ } };
  root.lang = kept("language") ?? root.dataset.language ?? "en";
  root.dataset.theme = kept("theme") ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  const mark = () => {
    document.querySelectorAll("[data-speak]").forEach((b) => b.setAttribute("aria-pressed", String(b.dataset.speak === root.lang)));
    document.querySelectorAll("[data-turn]").forEach((b) => b.setAttribute("aria-pressed", String(root.dataset.theme === "dark")));
  };
  document.addEventListener("click", (event) => {
    const speak = event.target.closest("[data-speak]"), turn = event.target.closest("[data-turn]");
    if (speak) {
      root.lang = speak.dataset.speak;
      keep("language", root.lang);
      window.dispatchEvent(new CustomEvent("quiebra-language", { detail: root.lang }));
    }
    if (turn) {
      root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark";
      keep("theme", root.dataset.theme);
      window.dispatchEvent(new CustomEvent("quiebra-theme"));
    }
    if (speak || turn) mark();
  });
  document.addEventListener("DOMContentLoaded", mark);
})();
