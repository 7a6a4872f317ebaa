// A button that requests a file from the kernel and downloads it.
export default {
  render({ model, el }) {
    const button = Object.assign(document.createElement("button"), { type: "button", className: "q-button", textContent: model.get("label") });
    button.addEventListener("click", () => { button.disabled = true; model.send({ want: "file" }); });
    model.on("msg:custom", (content, buffers) => {
      button.disabled = false; // also without a file: the error is shown over the page
      if (!content.file) return;
      const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(new Blob([buffers[0]])), download: content.file });
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    });
    el.append(button);
  },
};
