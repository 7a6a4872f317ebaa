// A table whose rows stay in the kernel: the browser shows one page and requests another order, filter or page.
export default {
  render({ model, el }) {
    const says = model.get("says");
    const make = (name, attributes = {}, ...children) => {
      const node = document.createElement(name);
      for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
      node.append(...children);
      return node;
    };
    const ask = (change) => {
      model.set("query", { ...model.get("query"), ...change });
      model.save_changes();
    };
    const box = make("div", { class: "q-table" });
    if (says.searchable) {
      const field = make("input", { type: "search", placeholder: says.search, "aria-label": `${says.search}: ${says.label}`, maxlength: "100" });
      field.value = model.get("query").text;
      let wait;
      field.addEventListener("input", () => {
        clearTimeout(wait);
        wait = setTimeout(() => ask({ text: field.value, page: 0 }), 120);
      });
      box.append(field);
    }
    const scroll = make("div", { class: "q-scroll", tabindex: "0", role: "region", "aria-label": says.label });
    const foot = make("div", { class: "q-pages" });
    box.append(scroll, foot);
    el.append(box);
    const cell = (column, value) => {
      const td = make("td", { class: `q-${column.kind}` });
      if (column.kind === "company" && value[0]) {
        const link = make("a", { href: `company?company=${encodeURIComponent(value[0])}` });
        link.textContent = value[1];
        td.append(link);
      } else if (column.kind === "rating" || column.kind === "status") {
        const [key, words] = column.kind === "status" ? value : [value, value];
        const chip = make("span", { class: "q-chip", "data-value": key });
        chip.textContent = words;
        td.append(chip);
      } else if (column.kind === "choice") {
        const button = make("button", { type: "button", class: "q-choice", "aria-pressed": String(value[0] === model.get("chosen")) });
        button.textContent = value[1];
        button.addEventListener("click", () => { model.set("chosen", value[0]); model.save_changes(); setTimeout(() => document.querySelector(".q-case")?.scrollIntoView({ block: "nearest", behavior: "smooth" }), 700); });
        td.append(button);
      } else td.textContent = column.kind === "company" ? value[1] : value;
      return td;
    };
    const draw = () => {
      const columns = model.get("columns"), query = model.get("query"), cells = model.get("cells"), count = model.get("matching");
      const heads = columns.map((column) => {
        const on = query.sort === column.key;
        const button = make("button", { type: "button" });
        button.textContent = column.label + (on ? (query.descending ? " ▾" : " ▴") : "");
        button.addEventListener("click", () => ask({ sort: column.key, descending: on ? !query.descending : column.kind === "number", page: 0 }));
        return make("th", { scope: "col", class: `q-${column.kind}`, "aria-sort": on ? (query.descending ? "descending" : "ascending") : "none" }, button);
      });
      const rows = cells.map((values) => make("tr", {}, ...values.map((value, i) => cell(columns[i], value))));
      if (!rows.length) rows.push(make("tr", {}, make("td", { colspan: String(columns.length) }, says.none)));
      scroll.replaceChildren(make("table", {}, make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...rows)));
      const first = query.page * query.size, last = first + cells.length;
      const number = new Intl.NumberFormat(says.language);
      const turn = (label, page, off) => {
        const button = make("button", { type: "button" }, label);
        button.disabled = off;
        button.addEventListener("click", () => ask({ page }));
        return button;
      };
      const of = says.of.replace("{first}", number.format(count ? first + 1 : 0)).replace("{last}", number.format(last)).replace("{count}", number.format(count));
      const held = foot.contains(document.activeElement) ? document.activeElement.textContent : "";
      foot.replaceChildren(
        make("span", { "aria-live": "polite" }, of), turn(says.previous, query.page - 1, query.page === 0), turn(says.next, query.page + 1, last >= count),
      );
      foot.hidden = count <= query.size && !says.searchable;
      if (held) [...foot.querySelectorAll("button")].sort((a, b) => (b.textContent === held) - (a.textContent === held)).find((b) => !b.disabled)?.focus();
    };
    for (const name of ["cells", "columns", "matching", "chosen"]) model.on(`change:${name}`, draw);
    draw();
  },
};
