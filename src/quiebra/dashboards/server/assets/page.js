// Set the reader's language and theme before the first paint, then the switches in the page's head.
(() => {
  // anywidget's Runtime stops loading widget code after two seconds, which is too short on a busy computer.
  const timeout = AbortSignal.timeout.bind(AbortSignal);
  AbortSignal.timeout = (wait) => timeout(Math.max(wait, 120_000));
  // The widgets' scripts keep a page busy for seconds: its figures are painted before they start. Voila's script waits for the
  // page to be loaded, which it is by then. A hidden page is not painted.
  const listen = window.addEventListener.bind(window);
  window.addEventListener = (kind, then, ...rest) => {
    if (kind === "load" && document.readyState === "complete" && typeof then === "function") setTimeout(then, 0, new Event("load"));
    else listen(kind, then, ...rest);
  };
  window.afterFirstPaint = (source) => {
    let started = false;
    const start = () => {
      if (!started) document.body.append(Object.assign(document.createElement("script"), { src: source }));
      started = true;
    };
    requestAnimationFrame(() => setTimeout(start));
    setTimeout(start, document.hidden ? 0 : 2000);
  };
  const root = document.documentElement;
  const kept = (key) => { try { return localStorage.getItem(`quiebra.${key}`); } catch { return null; } };
  const keep = (key, value) => { try { localStorage.setItem(`quiebra.${key}`, value); } catch { /* refused in private windows */ } };
  // Pages are drawn before anybody asks for them: what an address such as ?company=C_1 asks for is shown once the kernel knows.
  if (location.search) {
    root.dataset.asked = "yes";
    setTimeout(() => delete root.dataset.asked, 60_000);
  }
  root.lang = kept("language") ?? root.dataset.language ?? "en";
  root.dataset.theme = kept("theme") ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  const mark = () => {
    const page = document.querySelector(`.q-head [aria-current] [lang=${root.lang}]`);
    if (page) document.title = `${page.textContent} · Quiebra`;
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
  // Poll whether the page's kernel is alive and its results are still the newest.
  const watch = () => {
    const config = document.getElementById("jupyter-config-data");
    if (!config) return;
    const { baseUrl, kernelId } = JSON.parse(config.textContent);
    let first, missed = 0;
    const tell = (news) => document.querySelectorAll("[data-news]").forEach((node) => { node.hidden = node.dataset.news !== news; });
    const ask = async () => {
      try {
        const state = await (await fetch(`${baseUrl}state/${kernelId}`, { cache: "no-store" })).json();
        if (state.sign_in) return void location.assign(`${baseUrl}login?next=${encodeURIComponent(location.pathname + location.search)}`);
        first ??= state.under_way ? "" : state.results; // a page opened during a run shows the results before it
        missed = 0;
        tell(!state.lives ? "lost" : state.under_way ? "under_way" : state.results !== first ? "newer" : "");
      } catch {
        missed += 1;
        if (missed > 1) tell("lost");
      }
    };
    ask();
    setInterval(ask, 15_000);
    window.addEventListener("focus", ask); // the page may have been in the background for days
  };
  document.addEventListener("DOMContentLoaded", () => { mark(); watch(); });
})();
