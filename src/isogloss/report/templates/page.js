// Draws every chart in the reader's scheme, again when the scheme changes, and in light for paper.
(() => {
  const themes = JSON.parse(document.getElementById("themes").textContent);
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const sources = [...document.querySelectorAll("script[data-chart]")];
  const views = new Map();
  let folded = [];

  // On a phone a legend in one line would be cut off, and long names would leave no room for marks.
  const narrow = (theme) => ({
    ...theme,
    legend: { ...theme.legend, columns: 2 },
    axis: { ...theme.axis, labelLimit: 130, labelSeparation: 6 },
  });

  function draw(scheme) {
    for (const source of sources) {
      const panel = document.getElementById(source.dataset.chart);
      const spec = JSON.parse(source.textContent);
      views.get(panel)?.finalize();
      vegaEmbed(panel, spec, {
        mode: "vega-lite",
        renderer: "svg",
        config: panel.clientWidth < 480 ? narrow(themes[scheme]) : themes[scheme],
        tooltip: { theme: scheme },
        downloadFileName: source.dataset.name,
        actions: { export: { svg: true, png: true }, source: false, compiled: false, editor: false },
      }).then(
        (result) => { views.set(panel, result); named(panel); },
        (error) => { panel.textContent = `This chart cannot be drawn: ${error.message}`; },
      );
    }
  }

  // The name goes to the drawing itself, so that the menu beside it can still be reached.
  function named(panel) {
    const drawing = panel.querySelector("svg.marks");
    const words = panel.dataset.words ?? panel.getAttribute("aria-label");
    panel.dataset.words = words;
    panel.removeAttribute("role");
    panel.removeAttribute("aria-label");
    drawing?.setAttribute("role", "img");
    drawing?.removeAttribute("aria-roledescription");
    drawing?.setAttribute("aria-label", words);
    const menu = panel.querySelector("summary");
    menu?.setAttribute("aria-label", "Save this figure");
  }

  const current = () => (dark.matches ? "dark" : "light");
  dark.addEventListener("change", () => draw(current()));
  window.addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("main details:not([open]):not(.vega-embed details)")];
    folded.forEach((details) => { details.open = true; });
    if (dark.matches) draw("light");
  });
  window.addEventListener("afterprint", () => {
    folded.forEach((details) => { details.open = false; });
    if (dark.matches) draw(current());
  });
  draw(current());
})();
