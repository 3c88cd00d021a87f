"use strict";
// Says at once that a file is too large, and that a form is on its way; both work without.
const file = document.querySelector("[data-most-bytes]");
const tooLarge = document.querySelector("[data-too-large]");
if (file && tooLarge) {
  file.addEventListener("change", () => {
    const size = file.files.length ? file.files[0].size : 0;
    const isTooLarge = size > Number(file.dataset.mostBytes);
    tooLarge.hidden = !isTooLarge;
    file.setCustomValidity(isTooLarge ? tooLarge.textContent : "");
  });
}
document.addEventListener("submit", (event) => {
  const button = event.submitter;
  if (!button || !button.dataset.busy) return;
  const label = button.querySelector("span");
  if (label) label.textContent = button.dataset.busy;
  setTimeout(() => { button.disabled = true; });
});
window.addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});
