// Start the page: connect all parts, then ask the server for its settings.

import { get, remove } from "./api.js";
import { startBatches } from "./batch.js";
import { startCompare } from "./compare.js";
import { $ } from "./dom.js";
import { startEditor } from "./editor.js";
import { startLooks } from "./looks.js";
import { attempt } from "./notices.js";
import { startOptions } from "./options.js";
import { startPhotos } from "./photos.js";
import { startResult } from "./result.js";
import { change } from "./store.js";
import { startTabs } from "./tabs.js";
import { startTakeaway } from "./takeaway.js";
import { startViewer } from "./viewer.js";

for (const start of [
  startTabs,
  startViewer,
  startCompare,
  startPhotos,
  startLooks,
  startOptions,
  startResult,
  startTakeaway,
  startEditor,
  startBatches,
])
  start();

// A file that misses its place must not replace the page.
for (const name of ["dragover", "drop"]) addEventListener(name, (event) => event.preventDefault());

// The server forgets the visit's photos, results and batches; the page starts anew.
$("forget").addEventListener("click", () =>
  attempt(async () => {
    await remove("visit");
    location.reload();
  }),
);

const settings = await attempt(() => get("settings"));
if (settings) {
  $("version").textContent = `lookcast ${settings.version}`;
  change({ settings });
}
