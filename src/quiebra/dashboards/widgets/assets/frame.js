// State shared with the page's kernel: language, address, messages, and the switch from first figures to widgets.
export default {
  render({ model, el }) {
    const root = document.documentElement;
    const speak = (language) => {
      root.lang = language;
      if (model.get("language") !== language) { model.set("language", language); model.save_changes(); }
    };
    window.addEventListener("quiebra-language", (event) => speak(event.detail));
    const first = () => {
      const live = document.querySelector(".q-live .q-body");
      if (!live || !live.children.length) return void setTimeout(first, 30);
      document.querySelectorAll(".q-first").forEach((node) => node.remove());
      document.body.dataset.live = "yes";
      names();
    };
    const names = () => document.querySelectorAll(".q-live .jupyter-widgets > .widget-label").forEach((label) => {
      label.parentElement.querySelectorAll("input, select, textarea, .noUi-handle, .widget-readout").forEach((control) => control.setAttribute("aria-label", label.textContent));
    });
    const told = () => {
      document.body.dataset.shown = model.get("shown");
      setTimeout(names, 500); // once the new widgets are there
    };
    model.on("change:shown", told);
    model.on("change:applied", () => delete root.dataset.asked); // what the address asks for is shown
    model.on("msg:custom", (content) => {
      const note = Object.assign(document.createElement("div"), { className: `q-toast q-${content.kind}` });
      note.setAttribute("role", content.kind === "ok" ? "status" : "alert");
      note.innerHTML = content.kind === "error" ? content.text : "";
      if (content.kind !== "error") note.textContent = content.text;
      const close = Object.assign(document.createElement("button"), { type: "button", textContent: "×" });
      close.setAttribute("aria-label", document.body.getAttribute(`data-close-${root.lang}`) ?? "×");
      close.addEventListener("click", () => note.remove());
      note.append(close);
      const stack = document.querySelector(".q-toasts") ?? Object.assign(document.createElement("div"), { className: "q-toasts" });
      stack.append(note);
      document.body.append(stack);
      if (content.kind === "ok") setTimeout(() => note.remove(), 6000);
    });
    told();
    first();
    if (root.lang) speak(root.lang);
    model.set("opened", true);
    model.save_changes();
    if (!location.search) delete root.dataset.asked;
    else { model.set("address", location.search); model.save_changes(); }
  },
};
