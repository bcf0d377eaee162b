"use strict";
// Sort the pairs by a metric of the output. A second click on the same button reverses the order.
const buttons = [...document.querySelectorAll(".sort button")];
const list = document.querySelector(".pairs");
for (const button of buttons) {
  button.addEventListener("click", () => {
    const ascending = button.dataset.order !== "ascending";
    for (const other of buttons) {
      other.dataset.order = "";
      other.setAttribute("aria-pressed", "false");
    }
    button.dataset.order = ascending ? "ascending" : "descending";
    button.setAttribute("aria-pressed", "true");
    const key = button.dataset.key;
    const compare = (a, b) => key === "pair" ? a.localeCompare(b, undefined, { numeric: true }) : a - b;
    const pairs = [...list.children];
    pairs.sort((a, b) => {
      const [x, y] = [a.dataset[key], b.dataset[key]];
      // A pair without the metric stays at the end in both orders.
      if (x === "" || y === "") return (x === "") - (y === "");
      return ascending ? compare(x, y) : compare(y, x);
    });
    list.append(...pairs);
  });
}
document.querySelector(".sort").hidden = false;
