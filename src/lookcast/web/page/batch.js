// The batch tab: many photos with the look of the panel, a bar for each batch, and the zip.

import { get, post, remove, send, uploadPath, zipUrl } from "./api.js";
import { $, make } from "./dom.js";
import { acceptDrop, filesOf } from "./drop.js";
import { looksArrived } from "./looks.js";
import { attempt, report } from "./notices.js";
import { hasOwnLook, mix, state, watch } from "./store.js";

const EVERY = 700; // milliseconds between two questions about the progress
const SUFFIXES = /\.(jpe?g|png|webp|tiff?|heic|heif|avif)$/i;

let asking = 0;
let sending = null; // {id, sent, total, failed}: the batch whose photos are on their way

const say = (text) => {
  $("batch-status").textContent = text;
};

/** Send photos as a new batch, and start it. */
export async function addToBatch(files) {
  const photos = files.filter((file) => SUFFIXES.test(file.name) && !file.name.startsWith("."));
  if (!photos.length) {
    report(new Error(`photos: none among the ${files.length} files`));
    return;
  }
  await looksArrived(); // a look that was chosen a moment ago belongs to this batch
  const looks = mix();
  if (!looks.length && !hasOwnLook()) {
    report(new Error("look: choose one or more looks on the panel, then add the photos"));
    return;
  }
  if (sending) {
    report(new Error("photos: the last batch is still being sent"));
    return;
  }
  await attempt(() => sendBatch(photos, looks));
  sending = null;
  say("");
  await ask();
}

async function sendBatch(photos, looks) {
  const { id } = await post("batches", {
    styles: looks.map((look) => ({ id: look.id, weight: look.weight })),
    strength: state.strength,
    use_masks: state.masks === "off" ? false : "auto", // corrected regions belong to one photo
    checkpoint: state.checkpoint,
  });
  sending = { id, sent: 0, total: photos.length, failed: [] };
  for (const photo of photos) {
    say(`Sending ${sending.sent + 1} of ${sending.total}: ${photo.name}`);
    try {
      await send(uploadPath(`batches/${id}/photos`, photo), photo);
    } catch (error) {
      report(error); // the others go on
    }
    sending.sent += 1;
  }
  await post(`batches/${id}/start`);
}

/** Minutes and seconds, in words. */
function duration(seconds) {
  const whole = Math.ceil(seconds);
  return whole < 60 ? `${whole} s left` : `${Math.floor(whole / 60)} min ${whole % 60} s left`;
}

function words(batch) {
  const failed = batch.failed.length ? `, ${batch.failed.length} failed` : "";
  if (batch.state === "waiting") return `${batch.total} photos received, not started`;
  if (batch.state === "done") return `${batch.done - batch.failed.length} of ${batch.total} photos ready${failed}`;
  const left = batch.seconds_left === null ? "" : `, ${duration(batch.seconds_left)}`;
  return `${batch.done} of ${batch.total}${left}${failed}`;
}

/** What can be done with a batch in its state. */
function actions(batch) {
  const button = (textContent, onclick) => make("button", { type: "button", className: "small", textContent, onclick });
  const discard = button("Discard", () =>
    attempt(async () => {
      await remove(`batches/${batch.id}`);
      await ask();
    }),
  );
  if (batch.state === "done") {
    const ready = batch.done > batch.failed.length;
    const zip = make("a", {
      className: "button primary",
      href: zipUrl(batch.id),
      download: "",
      textContent: "Download zip",
    });
    return ready ? [zip, discard] : [discard];
  }
  if (batch.state === "waiting") {
    return [
      button("Start", () =>
        attempt(async () => {
          await post(`batches/${batch.id}/start`);
          await ask();
        }),
      ),
      discard,
    ];
  }
  return [discard];
}

function card(batch, number) {
  const label = `Batch ${number}`;
  const bar = make("progress", { max: Math.max(1, batch.total), value: batch.done });
  bar.setAttribute("aria-label", label);
  const failures = batch.failed.map(({ name, error }) =>
    make("li", { textContent: error.includes(name) ? error : `${name}: ${error}` }),
  );
  return make(
    "li",
    { className: "batch-card", "data-id": batch.id },
    make(
      "div",
      { className: "title" },
      make("h3", { textContent: label }),
      make("span", { className: "quiet", textContent: words(batch) }),
    ),
    bar,
    make("ul", { className: "failures" }, ...failures),
    make("p", { className: "pair" }, ...actions(batch)),
  );
}

/** Draw the batches. Only those that have changed are replaced, so that a focused button keeps its focus. */
function draw(batches) {
  const list = $("batches");
  const known = new Map([...list.children].map((element) => [element.dataset.id, element]));
  const shown = batches.filter((batch) => batch.id !== sending?.id);
  list.replaceChildren(
    ...shown
      .map((batch, at) => {
        const number = at + 1;
        const version = JSON.stringify([batch.state, batch.done, batch.total, batch.failed, number]);
        const old = known.get(batch.id);
        if (old && old.dataset.version === version) {
          old.querySelector(".quiet").textContent = words(batch);
          return old;
        }
        const focus = old?.contains(document.activeElement) && document.activeElement.textContent;
        const next = card(batch, number);
        next.dataset.version = version;
        if (focus)
          requestAnimationFrame(() =>
            [...next.querySelectorAll("button, a")].find((item) => item.textContent === focus)?.focus(),
          );
        return next;
      })
      .reverse(),
  );
}

/** Ask for the batches of this visit, and again while one is running. */
async function ask() {
  clearTimeout(asking);
  const answer = await attempt(() => get("batches"));
  if (!answer) return;
  draw(answer.batches);
  const running = answer.batches.some((batch) => batch.state === "running");
  if (running) asking = setTimeout(ask, EVERY);
}

/** Connect the tab. The batches of the visit are on the server, so they survive a reload. */
export function startBatches() {
  for (const [button, input] of [
    ["batch-files", "batch-file"],
    ["batch-folder", "folder-file"],
  ]) {
    $(button).addEventListener("click", () => $(input).click());
    $(input).addEventListener("change", () => {
      const files = [...$(input).files];
      $(input).value = "";
      if (files.length) addToBatch(files);
    });
  }
  acceptDrop($("batch"), async (data) => addToBatch(await filesOf(data)));
  addEventListener("beforeunload", (event) => {
    if (sending) event.preventDefault(); // the photos that were not sent would be lost
  });
  watch(["settings"], ask);
}
