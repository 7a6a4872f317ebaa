// Upload of a file in pieces of a megabyte, so that no message is too large; size and kind are checked before sending.
const PIECE = 1 << 20;
export default {
  render({ model, el }) {
    const says = model.get("says"), kinds = model.get("kinds"), largest = model.get("largest");
    const field = Object.assign(document.createElement("input"), { type: "file", accept: kinds.join(",") });
    const label = Object.assign(document.createElement("label"), { className: "q-upload" });
    const bar = Object.assign(document.createElement("progress"), { max: 1, value: 0, hidden: true });
    const note = Object.assign(document.createElement("span"), { className: "q-upload-note" });
    note.setAttribute("role", "status");
    label.append(Object.assign(document.createElement("b"), { textContent: model.get("label") }), " ", Object.assign(document.createElement("span"), { textContent: says.drop }), field);
    el.append(label, bar, note);
    let sending = false; // one file at a time, as the kernel joins the pieces in order
    const send = async (file) => {
      if (sending) return;
      note.textContent = "";
      if (!kinds.some((kind) => file.name.toLowerCase().endsWith(kind))) note.textContent = says.kind.replace("{kinds}", kinds.join(", "));
      else if (file.size > largest) note.textContent = says.size.replace("{size}", Math.ceil(file.size / 1e6)).replace("{most}", Math.floor(largest / 1e6));
      else {
        sending = field.disabled = true;
        bar.hidden = false;
        bar.setAttribute("aria-label", says.sending);
        try {
          for (let start = 0; start === 0 || start < file.size; start += PIECE) {
            const piece = await file.slice(start, start + PIECE).arrayBuffer();
            model.send({ name: file.name, first: start === 0, last: start + PIECE >= file.size }, undefined, [piece]);
            bar.value = Math.min(1, (start + PIECE) / Math.max(1, file.size));
          }
        } catch {
          note.textContent = says.unreadable;
        } finally {
          bar.hidden = true;
          sending = field.disabled = false;
        }
      }
      field.value = "";
    };
    field.addEventListener("change", () => field.files[0] && send(field.files[0]));
    label.addEventListener("dragover", (event) => event.preventDefault());
    label.addEventListener("drop", (event) => { event.preventDefault(); if (event.dataTransfer.files[0]) send(event.dataTransfer.files[0]); });
  },
};
