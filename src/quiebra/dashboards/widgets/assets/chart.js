// A Plotly chart in the page's colours, drawn when it scrolls into view. Plotly is one file of this server, which browsers cache.
let library;
function plotly() {
  library ??= new Promise((resolve, reject) => {
    if (window.Plotly) return resolve(window.Plotly);
    const script = document.createElement("script");
    script.src = `${document.body.dataset.assets ?? "/assets/"}plotly.min.js`;
    script.onload = () => resolve(window.Plotly);
    script.onerror = reject;
    document.head.append(script);
  });
  return library;
}

function themed(spec, separators, height, box) {
  const css = getComputedStyle(document.documentElement);
  const pen = document.createElement("canvas").getContext("2d");
  const colour = (name) => {
    const value = css.getPropertyValue(`--${name}`).trim();
    if (!value) return undefined;
    const probe = document.createElement("span"); // the browser resolves colour mixtures
    probe.style.color = value;
    document.body.append(probe);
    pen.fillStyle = getComputedStyle(probe).color;
    probe.remove();
    return pen.fillStyle;
  };
  const named = (value) => {
    if (typeof value === "string" && value.startsWith("$")) return colour(value.slice(1)) ?? value;
    if (Array.isArray(value)) return value.map(named);
    if (value && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, named(v)]));
    return value;
  };
  // escape text from data: Plotly would interpret links and markup in it
  const plain = (value) => (typeof value === "string" ? value.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll("\n", "<br>") : Array.isArray(value) ? value.map(plain) : value);
  const trace = (one) => ({ ...one, ...Object.fromEntries(["x", "y", "labels", "text", "customdata", "name"].filter((key) => key in one).map((key) => [key, plain(one[key])])) });
  const layout = named(spec.layout ?? {});
  for (const key of Object.keys(layout)) if (layout[key]?.ticktext) layout[key].ticktext = plain(layout[key].ticktext);
  const axis = { gridcolor: colour("line"), zerolinecolor: colour("line"), linecolor: colour("line"), automargin: true };
  for (const key of Object.keys(layout)) if (/^[xy]axis/.test(key)) layout[key] = { ...axis, ...layout[key] };
  layout.xaxis ??= axis;
  layout.yaxis ??= axis;
  return {
    data: named(spec.data ?? []).map(trace),
    layout: {
      margin: { l: 8, r: 12, t: 8, b: 8 }, showlegend: false, hoverlabel: { font: { family: "inherit" } },
      legend: { orientation: "h", y: 1.12, x: 0 }, ...layout, height: Math.max(height, spec.height ?? 0), width: box.clientWidth, separators,
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: css.getPropertyValue("font-family") || "sans-serif", size: 12, color: colour("ink") },
    },
  };
}

export default {
  render({ model, el }) {
    const box = document.createElement("div");
    box.className = "q-chart";
    box.setAttribute("role", "img");
    box.style.minHeight = `${model.get("height")}px`;
    el.append(box);
    let alive = true, near = false;
    const draw = async () => {
      box.setAttribute("aria-label", model.get("spec").alt ?? "");
      if (!near) return;
      const Plotly = await plotly();
      if (!alive || !box.clientWidth || !model.get("spec").data) return; // draw once the box has a size and data are there
      const { data, layout } = themed(model.get("spec"), model.get("separators"), model.get("height"), box);
      await Plotly.react(box, data, layout, { displayModeBar: false, plotlyServerURL: "", showTips: false });
      box.dataset.drawn = String(Number(box.dataset.drawn ?? 0) + 1);
    };
    let width = 0;
    const watcher = new ResizeObserver(() => {
      if (box.clientWidth === width) return;
      width = box.clientWidth;
      draw();
    });
    watcher.observe(box);
    const seen = () => {
      if (near) return;
      near = true;
      sight.disconnect();
      draw();
    };
    const sight = new IntersectionObserver((entries) => { if (entries.some((entry) => entry.isIntersecting)) seen(); }, { rootMargin: "300px" });
    sight.observe(box);
    window.addEventListener("beforeprint", seen);
    model.on("change:spec", draw);
    window.addEventListener("quiebra-theme", draw);
    draw();
    return () => {
      alive = false;
      watcher.disconnect();
      sight.disconnect();
      window.removeEventListener("beforeprint", seen);
      window.removeEventListener("quiebra-theme", draw);
      if (window.Plotly) window.Plotly.purge(box);
    };
  },
};
