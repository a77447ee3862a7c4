"use strict";
// Search and filters over the rows on the page: elements with data-row. Elements with data-holds hold rows.
(() => {
  const get = (id) => document.getElementById(id);
  const text = get("find-text"), found = get("found");
  const keys = ["outcome", "artifact", "reason", "score", "mode"];
  const selects = Object.fromEntries(keys.map((key) => [key, get(`find-${key}`)]));
  const holders = [...document.querySelectorAll("[data-holds]")];
  const opened = new Map();  // which holders were open before a search
  const rows = [...document.querySelectorAll("[data-row]")].map((element) => ({
    element,
    outcome: element.dataset.row,
    artifact: element.closest("[data-artifact]").dataset.artifact,
    reason: element.dataset.reason || "",
    score: element.dataset.score || "",
    mode: element.dataset.mode || "",
    words: null,
  }));

  const normalize = (words) => words.normalize("NFC").toLowerCase().replace(/\s+/g, " ").trim();
  const words = (row) => (row.words ??= normalize(`${row.artifact} ${row.element.textContent}`));

  function readQuery() {
    const query = { text: normalize(text.value) };
    for (const key of keys) query[key] = selects[key].value;
    return query;
  }

  function search() {
    const query = readQuery();
    const active = Object.values(query).some((value) => value !== "");
    document.body.classList.toggle("searching", active);
    if (active && !opened.size) for (const each of holders) opened.set(each, each.open);
    const holding = new Set();
    let count = 0;
    for (const row of rows) {
      const matches = keys.every((key) => !query[key] || row[key] === query[key])
        && (!query.text || words(row).includes(query.text));
      row.element.hidden = active && !matches;
      if (!active || !matches) continue;
      count += 1;
      for (let at = row.element.parentElement; at; at = at.parentElement) {
        if (at.dataset.holds !== undefined) holding.add(at);
      }
    }
    for (const each of holders) {
      each.hidden = active && !holding.has(each);
      if (active) each.open = holding.has(each);
      else if (opened.has(each)) each.open = opened.get(each);
    }
    if (!active) opened.clear();
    found.textContent = active ? `${count.toLocaleString("en")} of ${rows.length.toLocaleString("en")} rows on this page` : "";
  }

  function clear() {
    text.value = "";
    for (const key of keys) selects[key].value = "";
    search();
  }

  // A link leads into what is folded. A search hides what does not match, so it ends.
  function reveal() {
    let id;
    try {
      id = decodeURIComponent(location.hash.slice(1));
    } catch {
      return;
    }
    const target = id && get(id);
    if (!target) return;
    if (document.body.classList.contains("searching")) clear();
    for (let at = target; at; at = at.parentElement) if (at instanceof HTMLDetailsElement) at.open = true;
    target.scrollIntoView();
  }

  let waiting;
  text.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(search, 150);
  });
  for (const key of keys) selects[key].addEventListener("change", search);
  get("find-clear").addEventListener("click", clear);
  addEventListener("hashchange", reveal);
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.('a[href^="#"]');
    if (link && link.hash === location.hash) reveal();  // no change of the hash, so no event
  });
  document.addEventListener("keydown", (event) => {
    const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName);
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      text.focus();
    } else if (event.key === "Escape" && document.body.classList.contains("searching")) {
      clear();
    }
  });

  get("find").hidden = false;
  get("filters").open = matchMedia("(min-width: 60rem)").matches;
  reveal();
})();
