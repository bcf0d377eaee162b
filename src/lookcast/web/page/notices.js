// Errors of the server, in its own words, until the visitor closes them.

import { $, make } from "./dom.js";

/** Show an error. The same line is shown once. */
export function report(error) {
  const line = error.message;
  for (const shown of $("notices").children) {
    if (shown.dataset.line === line) return;
  }
  const close = make("button", { type: "button", className: "small", textContent: "Close" });
  const notice = make(
    "div",
    { className: "notice", role: "alert", "data-line": line },
    make("p", { textContent: line }),
    close,
  );
  close.addEventListener("click", () => notice.remove());
  $("notices").append(notice);
  while ($("notices").children.length > 3) $("notices").firstChild.remove();
}

/** Run an asynchronous action, and show its error. Return its value, or undefined after an error. */
export async function attempt(action) {
  try {
    return await action();
  } catch (error) {
    report(error);
    return undefined;
  }
}

/** Remove all errors, because what they spoke of is past. */
export const clear = () => $("notices").replaceChildren();
