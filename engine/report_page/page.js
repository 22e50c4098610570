"use strict";
// The slider. A range input takes the keyboard and tells screen readers; mouse, pen and touch
// move the edge to where they are, which the input's own track does not do everywhere.
for (const box of document.querySelectorAll(".compare")) {
  const range = box.querySelector("input");
  const { width, height } = box.querySelector("img");
  box.style.maxWidth = "min(100%, " + (85 * width) / height + "vh)"; // no taller than the window
  const show = () => {
    box.style.setProperty("--at", range.value + "%");
    range.setAttribute("aria-valuetext", Math.round(100 - range.value) + " % painted");
  };
  const follow = (event) => {
    const { left, width } = box.getBoundingClientRect();
    range.value = (100 * (event.clientX - left)) / width;
    show();
  };
  box.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    event.preventDefault();
    range.focus({ preventScroll: true });
    box.setPointerCapture(event.pointerId);
    follow(event);
  });
  box.addEventListener("pointermove", (event) => {
    if (box.hasPointerCapture(event.pointerId)) follow(event);
  });
  range.addEventListener("input", show);
  show();
}
