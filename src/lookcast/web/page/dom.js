// Short forms for the document's elements.

export const $ = (id) => document.getElementById(id);

/** Return a new element. Properties that start with "on" are listeners, "aria-" and "data-" are attributes. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name.includes("-")) element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children);
  return element;
}

/** Show the position of a range input as the filled part of its track. */
export function fill(range) {
  const share = (range.value - range.min) / (range.max - range.min);
  range.style.setProperty("--fill", `${100 * share}%`);
}

document.addEventListener("input", (event) => {
  if (event.target.type === "range") fill(event.target);
});

/** Return the value of the chosen radio button in a fieldset. */
export const chosen = (fieldset) => fieldset.querySelector("input:checked").value;

/** Choose a radio button in a fieldset, without an event. */
export function choose(fieldset, value) {
  for (const input of fieldset.querySelectorAll("input")) input.checked = input.value === value;
}

/** Offer a file to the visitor as a download. */
export function save(blob, name) {
  const url = URL.createObjectURL(blob);
  make("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60000); // the browser reads the blob after the click
}

/** A readable name for an example: "blue_hour" becomes "Blue hour". */
export const title = (name) => name[0].toUpperCase() + name.slice(1).replaceAll("_", " ");
