"use strict";

// A number's tip shows beside it, by pointer, touch and keyboard; Escape closes it.
(() => {
  const GAP = 6, LINGER = 250; // pixels between number and tip; milliseconds to move the pointer onto it
  let link = null, tip = null, timer = 0, touched = null;

  const hide = () => {
    clearTimeout(timer);
    if (tip) tip.hidden = true;
    link = tip = null;
  };
  const show = (number) => {
    clearTimeout(timer);
    if (number === link) return;
    hide();
    tip = document.getElementById(`tip-${number.dataset.key}`);
    if (!tip) return;
    link = number;
    tip.hidden = false;
    // Below the number's last line, or above its first one; never over it.
    const lines = link.getClientRects(), first = lines[0], last = lines[lines.length - 1];
    const page = document.documentElement;
    const fits = last.bottom + GAP + tip.offsetHeight <= page.clientHeight || first.top < tip.offsetHeight + GAP;
    const top = fits ? last.bottom + GAP : first.top - GAP - tip.offsetHeight;
    const left = Math.max(GAP, Math.min(last.left, page.clientWidth - tip.offsetWidth - GAP));
    tip.style.top = `${top + window.scrollY}px`;
    tip.style.left = `${left + window.scrollX}px`;
  };

  document.addEventListener("mouseover", (event) => {
    const number = event.target.closest("a.n");
    if (number) return show(number);
    clearTimeout(timer);
    if (tip && !event.target.closest(".tip") && link !== document.activeElement) timer = setTimeout(hide, LINGER);
  });
  document.addEventListener("focusin", (event) => {
    const number = event.target.closest("a.n");
    if (number) show(number);
    else hide();
  });
  document.addEventListener("focusout", hide);
  // A finger cannot rest on a number without following it: the first tap shows the tip, the second one follows.
  document.addEventListener("pointerdown", (event) => {
    const number = event.target.closest("a.n");
    touched = event.pointerType === "touch" && number !== link ? number : null;
  });
  document.addEventListener("click", (event) => {
    const number = event.target.closest("a.n");
    if (!number || number !== touched) return;
    show(number);
    if (link === number) event.preventDefault();
  });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
})();

// What is wider than its place scrolls there; then the keyboard can reach it too.
(() => {
  const watch = new ResizeObserver((changes) => {
    for (const { target: box } of changes) {
      if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
      else box.removeAttribute("tabindex");
    }
  });
  for (const box of document.querySelectorAll(".wide, .output_subarea, pre")) watch.observe(box);
})();

// Rows or sections of `#list` that the choices in `#filter` leave; the address keeps the choice.
(() => {
  const form = document.getElementById("filter");
  if (!form) return;
  const place = form.dataset.place;
  const items = [...document.querySelectorAll("[data-item]")];
  const buttons = [...form.querySelectorAll("button[aria-pressed]")];
  const fields = [...form.querySelectorAll("select, input")];
  const status = form.querySelector("[role=status]");

  const pressed = () => buttons.filter((button) => button.getAttribute("aria-pressed") === "true").map((button) => button.value);
  const press = (button, on) => button.setAttribute("aria-pressed", String(on));
  const suits = (item, field) => field.type === "search"
    ? item.textContent.toLowerCase().includes(field.value.trim().toLowerCase())
    : item.dataset[field.name] === field.value;
  const apply = () => {
    const wanted = pressed(), set = fields.filter((field) => field.value.trim());
    for (const item of items) {
      const kept = !wanted.length || wanted.includes(item.dataset.verdict);
      item.hidden = !kept || !set.every((field) => suits(item, field));
    }
    const shown = items.filter((item) => !item.hidden).length;
    status.textContent = form.dataset.shown.replace("{shown}", shown).replace("{all}", items.length);
  };
  const choose = (wanted) => {
    for (const button of buttons) press(button, wanted.getAll("verdict").includes(button.value));
    for (const field of fields) {
      field.value = wanted.get(field.name) || "";
      if (field.selectedIndex < 0) field.value = "";
    }
    apply();
  };
  const keep = () => {
    const chosen = new URLSearchParams(location.hash.split("?")[1]); // what is chosen elsewhere on the page stays
    for (const name of ["verdict", ...fields.map((field) => field.name)]) chosen.delete(name);
    for (const verdict of pressed()) chosen.append("verdict", verdict);
    for (const field of fields) if (field.value.trim()) chosen.set(field.name, field.value.trim());
    history.replaceState(null, "", `#${place}${chosen.size ? `?${chosen}` : ""}`);
  };
  const follow = () => {
    const [name, query] = location.hash.slice(1).split("?");
    if (query !== undefined) choose(new URLSearchParams(query));
    if (query !== undefined && name === place) return document.getElementById(place).scrollIntoView();
    const target = document.getElementById(decodeURIComponent(name));
    if (target && target.hidden) { // a link to something that is filtered out
      choose(new URLSearchParams());
      target.scrollIntoView();
    }
  };

  form.hidden = false;
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", () => { apply(); keep(); });
  form.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.hasAttribute("aria-pressed")) press(button, button.getAttribute("aria-pressed") !== "true");
    else choose(new URLSearchParams());
    apply();
    keep();
  });
  window.addEventListener("hashchange", follow);
  apply();
  follow();
})();
