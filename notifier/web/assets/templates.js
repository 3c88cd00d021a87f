"use strict";
// The editor of templates: line numbers, marks beside wrong lines, Tab, values on click. It works without all this.
(() => {
  const form = document.getElementById("editor");
  if (!form) return;
  const LINE = 20;
  const areas = [...form.querySelectorAll("textarea.source")];
  const panels = new Map();
  let last = areas.find((area) => area.offsetParent) || areas[0];
  let isDirty = false;

  for (const area of areas) {
    const box = document.createElement("div");
    const gutter = document.createElement("div");
    const band = document.createElement("div");
    box.className = "code-box";
    gutter.className = "gutter";
    gutter.setAttribute("aria-hidden", "true");
    band.className = "bands";
    band.setAttribute("aria-hidden", "true");
    area.before(box);
    box.append(gutter, band, area);
    panels.set(area.dataset.file, { area, gutter, band, marks: new Map() });
    area.addEventListener("input", () => draw(area.dataset.file));
    area.addEventListener("scroll", () => follow(area.dataset.file));
    area.addEventListener("focus", () => { last = area; });
    area.addEventListener("keydown", keys);
  }

  function draw(name) {
    const { area, gutter, band, marks } = panels.get(name);
    const count = area.value.split("\n").length;
    const lines = [];
    for (let line = 1; line <= count; line += 1) {
      const span = document.createElement("span");
      span.textContent = line;
      if (marks.has(line)) {
        span.className = `is-${marks.get(line).kind}`;
        span.title = marks.get(line).text;
      }
      lines.push(span);
    }
    gutter.replaceChildren(...lines);
    band.replaceChildren(...[...marks].map(([line, mark]) => {
      const one = document.createElement("div");
      one.className = `band is-${mark.kind}`;
      one.dataset.line = line;
      const text = document.createElement("span");
      text.textContent = mark.text;
      one.append(text);
      return one;
    }));
    follow(name);
  }

  function follow(name) {
    const { area, gutter, band } = panels.get(name);
    gutter.scrollTop = area.scrollTop;
    for (const one of band.children) one.style.top = `${10 + (one.dataset.line - 1) * LINE - area.scrollTop}px`;
  }

  let isLeaving = false;
  function keys(event) {
    const area = event.target;
    if (event.key === "Escape") { isLeaving = true; return; }
    if (event.key !== "Tab" || isLeaving || area.readOnly) { isLeaving = event.key === "Shift" && isLeaving; return; }
    event.preventDefault();
    if (event.shiftKey) {
      const start = area.value.lastIndexOf("\n", area.selectionStart - 1) + 1;
      const width = /^ {0,2}/.exec(area.value.slice(start))[0].length;
      if (width) area.setRangeText("", start, start + width, "preserve");
    } else {
      area.setRangeText("  ", area.selectionStart, area.selectionEnd, "end");
    }
    area.dispatchEvent(new Event("input", { bubbles: true }));
  }

  function mark() {
    for (const panel of panels.values()) panel.marks.clear();
    const wrong = new Map();
    for (const item of form.querySelectorAll(".template-problems li[data-file]")) {
      const { file, line, text } = item.dataset;
      const kind = item.classList.contains("is-error") ? "error" : "remark";
      const panel = panels.get(file);
      if (panel && Number(line) && panel.marks.get(Number(line))?.kind !== "error") panel.marks.set(Number(line), { kind, text });
      if (wrong.get(file) !== "error") wrong.set(file, kind);
    }
    for (const tab of form.querySelectorAll("[data-tab]")) tab.dataset.problem = wrong.get(tab.dataset.tab) || "";
    for (const field of form.querySelectorAll("[data-field]")) field.toggleAttribute("aria-invalid", wrong.has(field.dataset.field));
    for (const name of panels.keys()) draw(name);
  }

  function open(name, line) {
    const field = form.querySelector(`[data-field="${CSS.escape(name)}"]`);
    if (field) { field.focus(); return true; }
    const panel = panels.get(name);
    if (!panel) return false;
    const radio = form.querySelector(`input[name=open][value="${CSS.escape(name)}"]`);
    if (!radio.checked) { radio.checked = true; radio.dispatchEvent(new Event("change", { bubbles: true })); }
    const { area } = panel;
    area.focus();
    if (line > 0) {
      const start = area.value.split("\n").slice(0, line - 1).join("\n").length + (line > 1 ? 1 : 0);
      const end = area.value.indexOf("\n", start);
      area.setSelectionRange(start, end < 0 ? area.value.length : end);
      area.scrollTop = Math.max(0, (line - 6) * LINE);
    }
    return true;
  }

  document.addEventListener("click", async (event) => {
    const place = event.target.closest(".template-problems .place");
    if (place) {
      const item = place.closest("li");
      if (open(item.dataset.file, Number(item.dataset.line))) event.preventDefault();
      return;
    }
    const insert = event.target.closest("[data-insert]");
    if (insert && last && !last.readOnly) {
      if (!last.offsetParent && last.classList.contains("source")) last = areas.find((area) => area.offsetParent) || last;
      last.focus();
      last.setRangeText(insert.dataset.insert, last.selectionStart, last.selectionEnd, "end");
      last.dispatchEvent(new Event("input", { bubbles: true }));
      return;
    }
    const samples = event.target.closest("[data-samples]");
    if (samples) {
      event.preventDefault();
      samples.setAttribute("aria-busy", "true");
      const answer = await fetch(samples.dataset.samples, { headers: { "hx-request": "true" } });
      if (answer.ok) {
        document.getElementById("sample").insertAdjacentHTML("beforeend", await answer.text());
        samples.remove();
        document.getElementById("sample").focus();
      }
      return;
    }
    const test = event.target.closest("[data-test]");
    if (test) {
      event.preventDefault();
      test.disabled = true;
      try {
        const answer = await fetch(test.dataset.test, { method: "POST", body: new FormData(form), headers: { "hx-request": "true" } });
        document.getElementById("said").innerHTML = await answer.text();
      } finally {
        test.disabled = false;
      }
    }
  });

  // How it is looked at needs no new look: the width is a style, the screen another address of the same mail.
  for (const choice of form.querySelectorAll("input[name=width], input[name=scheme]")) {
    choice.addEventListener("input", (event) => event.stopPropagation());
    choice.addEventListener("change", (event) => { event.stopPropagation(); dress(); });
  }
  function dress() {
    const frame = document.getElementById("mail-frame");
    const scheme = form.querySelector("input[name=scheme]:checked").value;
    if (!frame || frame.src.endsWith(`=${scheme}`)) return;
    frame.contentWindow.location.replace(frame.src.replace(/=\w+$/, `=${scheme}`));
  }

  for (const field of form.querySelectorAll("[data-field]")) field.addEventListener("focus", () => { last = field; });
  form.addEventListener("input", (event) => { if (event.target.matches("textarea, [data-field]")) isDirty = true; });
  form.addEventListener("submit", () => { isDirty = false; });
  document.addEventListener("htmx:afterSwap", (event) => { if (event.target.id === "preview") mark(); });
  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key === "s") {
      event.preventDefault();
      form.querySelector("button[name=save]")?.click();
    }
  });
  window.addEventListener("beforeunload", (event) => { if (isDirty) event.preventDefault(); });
  form.addEventListener("change", (event) => { if (event.target.name === "open") for (const name of panels.keys()) draw(name); });
  form.classList.add("is-lively");
  mark();
})();
