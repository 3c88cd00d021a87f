"use strict";
// A suggestion fills its field in every language; without scripts the fields offer the same words as they are typed.
for (const chips of document.querySelectorAll(".chips")) chips.hidden = false;
for (const button of document.querySelectorAll(".look-again")) button.hidden = true; // the preview follows by itself
document.addEventListener("click", (event) => {
  const chip = event.target.closest("[data-fill]");
  if (!chip) return;
  let last = null;
  for (const field of chip.form.elements) {
    if (!field.name.startsWith(`input.${chip.dataset.fill}.`)) continue;
    field.value = chip.getAttribute(`data-${field.lang.toLowerCase()}`) ?? field.value;
    last = field;
  }
  if (last) last.dispatchEvent(new Event("input", { bubbles: true }));
});
