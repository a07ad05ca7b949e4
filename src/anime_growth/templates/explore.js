"use strict";

// The forecast of the model, first year and basis that the reader chooses; the address keeps the choice.
(() => {
  const form = document.getElementById("choose");
  if (!form) return;
  const known = JSON.parse(document.getElementById("forecasts").textContent);
  const place = form.dataset.place;
  const fields = [...form.querySelectorAll("select")];
  const box = document.getElementById("chart"), status = form.querySelector("[role=status]"), link = form.querySelector("a");
  const HEIGHT = 340, INNER = ["p10", "p90"], OUTER = ["p2_5", "p97_5"];
  let chart = null;

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const faint = (hex, part) => hex + Math.round(part * 255).toString(16).padStart(2, "0");
  const chosen = () => Object.fromEntries(fields.map((field) => [field.name, field.value]));
  const forecast = ({ basis, start, model }) => known.forecasts[`${basis}/${start}/${model}`];
  const number = (value) => value.toLocaleString(document.documentElement.lang, { maximumSignificantDigits: 3 });

  // Columns as uPlot wants them: years, what was observed, and each quantile, which all begin at the last level.
  const columns = (past, ahead) => {
    const years = [...past.years, ...ahead.p50.map((_, step) => ahead.first + step)];
    const none = Array(past.years.length - 1).fill(null), last = past.values[past.values.length - 1];
    const quantile = (name) => [...none, last, ...ahead[name]];
    return [years, [...past.values, ...ahead.p50.map(() => null)], quantile("p50"), ...[...INNER, ...OUTER].map(quantile)];
  };
  const draw = () => {
    const choice = chosen(), ahead = forecast(choice), past = known.bases[choice.basis];
    const ink = colour("--ink"), line = colour("--line"), accent = colour("--accent");
    const edge = { show: true, stroke: "transparent", width: 0, points: { show: false } };
    const letters = getComputedStyle(box).fontFamily;
    const axis = { stroke: ink, font: `12px ${letters}`, labelFont: `bold 12px ${letters}` };
    const lines = { stroke: line, width: 1 };
    // Of the lines of a logarithmic scale the round ones, and over many decades the powers of ten.
    const round = (_, splits) => {
      const wide = splits[splits.length - 1] / splits[0] > 1000;
      return splits.map((split) => ((wide ? [1] : [1, 2, 5]).includes(Number(split.toExponential()[0])) ? split : null));
    };
    if (chart) chart.destroy();
    chart = new uPlot({
      width: box.clientWidth, height: HEIGHT, legend: { show: false }, cursor: { show: false },
      scales: { x: { time: false }, y: { distr: 3 } },
      axes: [
        { ...axis, grid: lines, ticks: lines, incrs: [1, 2, 5, 10], values: (_, years) => years.map(String) },
        {
          ...axis, grid: { ...lines, filter: round }, ticks: { ...lines, filter: round }, filter: round, size: 70,
          label: past.unit, labelSize: 20, values: (_, values) => values.map((value) => value === null ? "" : number(value)),
        },
      ],
      series: [{}, { stroke: ink, width: 2, points: { show: false } }, { stroke: accent, width: 2, points: { show: false } }, edge, edge, edge, edge],
      bands: [{ series: [6, 5], fill: faint(accent, 0.16) }, { series: [4, 3], fill: faint(accent, 0.28) }],
    }, columns(past, ahead), box);
    const year = ahead.first + ahead.p50.length - 1, { p2_5: low, p97_5: high, ...last } = ahead.last;
    const values = { ...choice, ...last, low, high, model: known.models[choice.model], basis: past.words, year };
    status.textContent = status.dataset.words.replace(/\{(\w+)\}/g, (_, name) => values[name]);
    box.setAttribute("aria-label", status.textContent);
    link.href = `#${place}?${new URLSearchParams(choice)}`;
  };
  // A combination that could not be fitted is not offered.
  const offer = () => {
    for (const field of fields) {
      for (const option of field.options) option.disabled = !forecast({ ...chosen(), [field.name]: option.value });
    }
  };
  const choose = (wanted) => {
    const before = chosen(), asked = { ...before, ...Object.fromEntries([...wanted].filter(([name]) => name in before)) };
    const choice = forecast(asked) ? asked : { ...known.chosen };
    for (const field of fields) field.value = choice[field.name];
    offer();
    draw();
  };
  const follow = () => {
    const [name, query] = location.hash.slice(1).split("?");
    if (query === undefined) return;
    choose(new URLSearchParams(query));
    if (name === place) document.getElementById(place).scrollIntoView();
  };

  form.hidden = false;
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", () => {
    choose(new URLSearchParams());
    const all = new URLSearchParams(location.hash.split("?")[1]); // with what is chosen elsewhere on the page
    for (const [name, value] of Object.entries(chosen())) all.set(name, value);
    history.replaceState(null, "", `#${place}?${all}`);
  });
  window.addEventListener("hashchange", follow);
  for (const media of ["(prefers-color-scheme: dark)", "print"]) matchMedia(media).addEventListener("change", draw);
  new ResizeObserver(() => { if (chart && chart.width !== box.clientWidth) chart.setSize({ width: box.clientWidth, height: HEIGHT }); }).observe(box);
  choose(Object.entries(known.chosen));
  follow();
  document.fonts.ready.then(draw); // a drawing does not take up by itself the letters that the page brings along
})();
