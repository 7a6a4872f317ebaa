// A button that asks the kernel for a file and hands it to the reader.
export default {
  render({ model, el }) {
    const button = Object.assign(document.createElement("button"), { type: "button", className: "q-button", textContent: model.get("label") });
    button.addEventListener("click", () => { button.disabled = true; model.send({ want: "file" }); });
    model.on("msg:custom", (content, buffers) => {
      button.disabled = false; // also where there is no file: what went wrong is said over the page
      if (!content.file) return;
      const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(new Blob([buffers[0]])), download: content.file });
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    });
    el.append(button);
  },
};
