"use strict";
// The calendar by keyboard: a key follows the link that names it; never while somebody types.
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select")) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const link = document.querySelector(`[data-key="${CSS.escape(key)}"]`);
  if (link) link.click();
});
