// What HTML alone cannot: Airflow's theme, the way out of Airflow's frame, arrow keys in the grid.
"use strict";

const framed = window.parent !== window;

if (framed) {
  // Airflow has a switch of its own; it may differ from the system's.
  const dark = window.parent.document.documentElement.classList.contains("dark");
  document.documentElement.dataset.theme = dark ? "dark" : "light";
}

// A frame may not move the page around it, but a link of that page may: follow one in there.
document.addEventListener("click", (event) => {
  const link = event.target.closest("a.out");
  if (!framed || !link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  const outside = window.parent.document.createElement("a");
  outside.href = link.href;
  window.parent.document.body.append(outside);
  outside.click();
  outside.remove();
});

document.addEventListener("DOMContentLoaded", () => {
  const grid = document.querySelector("table.days");
  if (!grid) return;
  const rows = [...grid.tBodies[0].rows];
  const links = [...grid.querySelectorAll("a")];
  for (const link of links) link.tabIndex = -1;
  let current = links[0];
  current.tabIndex = 0;

  const at = (row, column) => rows[row]?.cells[column]?.querySelector("a");
  // The next cell that way that has a link.
  const beside = (row, column, down, right) => {
    do { row += down; column += right; } while (rows[row]?.cells[column] && !at(row, column));
    return at(row, column);
  };
  const steps = { ArrowDown: [1, 0], ArrowUp: [-1, 0], ArrowRight: [0, 1], ArrowLeft: [0, -1] };

  grid.addEventListener("keydown", (event) => {
    const cell = event.target.closest("td, th");
    const row = rows.indexOf(cell?.parentElement);
    if (row < 0 || event.altKey || event.ctrlKey || event.metaKey) return;
    const to = event.key in steps ? beside(row, cell.cellIndex, ...steps[event.key])
      : event.key === "Home" ? at(row, 0) : event.key === "End" ? beside(row, rows[row].cells.length, 0, -1) : null;
    if (event.key in steps || to) event.preventDefault();
    to?.focus();
  });
  grid.addEventListener("focusin", (event) => {
    current.tabIndex = -1;
    current = event.target;
    current.tabIndex = 0;
  });
});
