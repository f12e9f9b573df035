"use strict";

// Rows without a figure stay last, whichever way the others are sorted.
function compare(a, b, direction) {
  if (a === b) return 0;
  if (a === "") return 1;
  if (b === "") return -1;
  const numbers = [Number(a), Number(b)];
  const order = numbers.some(Number.isNaN) ? a.localeCompare(b) : numbers[0] - numbers[1];
  return direction * order;
}

function sort(heading) {
  const ascending = heading.getAttribute("aria-sort") === "ascending";
  const table = heading.closest("table");
  const place = heading.cellIndex;
  const rows = Array.from(table.tBodies[0].rows);
  const direction = ascending ? -1 : 1;
  rows.sort((a, b) => compare(a.cells[place].dataset.value, b.cells[place].dataset.value, direction));
  table.tBodies[0].append(...rows);
  for (const other of heading.parentElement.cells) other.setAttribute("aria-sort", "none");
  heading.setAttribute("aria-sort", ascending ? "descending" : "ascending");
}

function filter() {
  const words = document.getElementById("filter").value.toLowerCase().split(",").map(word => word.trim());
  const wanted = words.filter(word => word !== "");
  const page = document.getElementById("page").value;
  let shown = 0, all = 0;
  for (const section of document.querySelectorAll("section")) {
    let here = 0;
    for (const row of section.querySelectorAll("tbody tr")) {
      const name = row.cells[0].dataset.value.toLowerCase();
      row.hidden = wanted.length > 0 && !wanted.some(word => name.includes(word));
      here += row.hidden ? 0 : 1;
      all += 1;
    }
    section.hidden = here === 0 || (page !== "" && section.dataset.page !== page);
    shown += section.hidden ? 0 : here;
  }
  document.getElementById("count").textContent = `${shown} of ${all} rows`;
}

for (const heading of document.querySelectorAll("thead th")) {
  heading.querySelector("button").addEventListener("click", () => sort(heading));
}
document.getElementById("filter").addEventListener("input", filter);
document.getElementById("page").addEventListener("change", filter);
document.getElementById("controls").addEventListener("submit", event => event.preventDefault());
for (const name of ["more", "seeds"]) {
  const box = document.getElementById(name);
  box.addEventListener("change", () => document.body.classList.toggle(`show-${name}`, box.checked));
}
filter();
