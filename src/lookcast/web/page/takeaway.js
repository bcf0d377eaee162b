// What the visitor takes home: the photo, the look as a table of colours, the lines of code.

import { get, getFile } from "./api.js";
import { $, save } from "./dom.js";
import { attempt } from "./notices.js";
import { state, watch } from "./store.js";

/** Fetch a file and save it. The button shows that the server works. */
async function take(button, path, fallback) {
  if (button.getAttribute("aria-busy") === "true") return;
  button.setAttribute("aria-busy", "true");
  const file = await attempt(() => getFile(path));
  button.removeAttribute("aria-busy");
  if (file) save(file.blob, file.name ?? fallback);
}

/** Path of a file of the result at the present strength. */
const pathOf = (kind, format) =>
  `results/${state.result.id}/${kind}?${new URLSearchParams({ format, strength: state.strength })}`;

let asking = 0;

/** Show the lines that give the same file, also after a change of the strength or the format. */
function updateLines() {
  clearTimeout(asking);
  asking = setTimeout(
    () =>
      attempt(async () => {
        const { result } = state;
        if (!result) return;
        const lines = await get(pathOf("lines", $("format").value));
        if (state.result === result) showLines(lines);
      }),
    250,
  );
}

function showLines(lines) {
  for (const name of ["command", "python"]) $(name).textContent = lines?.[name] ?? "Appears with the first result.";
}

function startCopies() {
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.addEventListener("click", () =>
      attempt(async () => {
        const text = $(button.dataset.copy).textContent;
        try {
          await navigator.clipboard.writeText(text);
        } catch {
          getSelection().selectAllChildren($(button.dataset.copy)); // plain http on another machine has no clipboard
          throw new Error("the browser does not allow copying; the lines are selected, press Ctrl+C");
        }
        button.textContent = "Copied";
        setTimeout(() => {
          button.textContent = "Copy";
        }, 1500);
      }),
    );
  }
}

/** Connect the downloads with the result. */
export function startTakeaway() {
  $("download").addEventListener("click", () => {
    const format = $("format").value;
    take($("download"), pathOf("download", format), `lookcast.${format}`);
  });
  $("cube").addEventListener("click", () => take($("cube"), pathOf("lut", "cube"), "look.cube"));
  $("hald").addEventListener("click", () => take($("hald"), pathOf("lut", "hald"), "look.png"));
  startCopies();
  watch(["result"], () => {
    const { result } = state;
    for (const id of ["download", "cube", "hald"]) $(id).disabled = !result;
    showLines(result);
  });
  $("format").addEventListener("change", updateLines);
  watch(["result", "strength"], updateLines);
}
