// A combobox that offers matches while the reader types, after the ARIA practices' combobox pattern.
let count = 0;
export default {
  render({ model, el }) {
    const id = `q-search-${count++}`;
    const label = Object.assign(document.createElement("label"), { textContent: model.get("label"), htmlFor: id });
    const field = Object.assign(document.createElement("input"), { id, type: "search", autocomplete: "off", maxLength: 100, placeholder: model.get("placeholder") });
    const list = Object.assign(document.createElement("ul"), { id: `${id}-list`, hidden: true });
    list.setAttribute("role", "listbox");
    for (const [key, value] of Object.entries({ role: "combobox", "aria-expanded": "false", "aria-controls": list.id, "aria-autocomplete": "list" })) field.setAttribute(key, value);
    const box = Object.assign(document.createElement("div"), { className: "q-search" });
    box.append(label, field, list);
    el.append(box);
    let at = -1, entered = false; // entered: Enter was pressed before the text's matches had arrived
    const matches = () => model.get("found").matches;
    const open = (yes) => {
      list.hidden = !yes;
      field.setAttribute("aria-expanded", String(yes));
    };
    const choose = ([value, words]) => {
      field.value = words;
      open(false);
      entered = false;
      model.send({ chosen: value });
    };
    const mark = (place) => {
      at = place;
      [...list.children].forEach((item, i) => item.setAttribute("aria-selected", String(i === at)));
      const on = list.children[at];
      on?.scrollIntoView({ block: "nearest" });
      field.setAttribute("aria-activedescendant", on?.id ?? "");
    };
    const draw = () => {
      list.replaceChildren(...matches().map((match, i) => {
        const item = Object.assign(document.createElement("li"), { textContent: match[1], id: `${id}-${i}` });
        item.setAttribute("role", "option");
        item.addEventListener("mousedown", (event) => { event.preventDefault(); choose(match); });
        return item;
      }));
      mark(-1);
      if (document.activeElement === field) open(list.children.length > 0);
      if (entered && model.get("found").text === field.value && matches().length) choose(matches()[0]);
    };
    field.addEventListener("input", () => { entered = false; model.set("text", field.value); model.save_changes(); });
    field.addEventListener("focus", () => field.select());
    field.addEventListener("blur", () => open(false));
    field.addEventListener("keydown", (event) => {
      if (event.key === "ArrowDown" || event.key === "ArrowUp") {
        event.preventDefault();
        const count = matches().length;
        open(count > 0);
        mark((at + (event.key === "ArrowDown" ? 1 : -1) + count) % Math.max(1, count));
      } else if (event.key === "Enter" && model.get("found").text !== field.value) entered = Boolean(field.value) && model.get("text") === field.value;
      else if (event.key === "Enter" && !list.hidden && matches().length) choose(matches()[Math.max(0, at)]);
      else if (event.key === "Escape") open(false);
    });
    model.on("change:found", draw);
  },
};
