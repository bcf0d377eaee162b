// The photo to change: chosen, dropped, pasted, or one of the examples.

import { exampleUrl, post, remove, send, uploadPath } from "./api.js";
import { $, make, title } from "./dom.js";
import { attempt, clear } from "./notices.js";
import { change, mix, state, watch } from "./store.js";
import { toggleLook } from "./looks.js";
import { addToBatch } from "./batch.js";
import { acceptDrop } from "./drop.js";
import { openTab } from "./tabs.js";

/** Replace the content. The server forgets the old one. */
async function replace(request) {
  change({ busy: true });
  const content = await attempt(request);
  if (content) {
    const old = state.content;
    clear();
    change({ content, result: null, masks: state.masks === "own" ? "auto" : state.masks });
    if (old) attempt(() => remove(`photos/${old.id}`));
  }
  change({ busy: false });
  return content;
}

/** Open one file as the photo. Several files are work for the batch tab. */
export function open(files) {
  if (files.length > 1) {
    openTab("batch");
    addToBatch(files);
  } else if (files.length === 1) {
    replace(() => send(uploadPath("photos", files[0]), files[0]));
  }
}

/** The look that an example gets if none is chosen. It suits all of them. */
const FIRST_LOOK = "winter";

/** Open an example. Without a look, an example of the looks is taken too, so that there is a result at once. */
async function openExample(name) {
  const path = `photos/example?${new URLSearchParams({ name, kind: "contents" })}`;
  const content = await replace(() => post(path));
  if (!content || mix().length || !state.looks.length) return;
  toggleLook((state.looks.find((look) => look.example === FIRST_LOOK) ?? state.looks[0]).key);
}

function drawFacts() {
  const { content } = state;
  if (!content) return;
  const facts = [`${content.width} × ${content.height}`, `${content.bit_depth}-bit`];
  if (content.has_profile) facts.push("colour profile");
  if (content.has_exif) facts.push("EXIF");
  $("photo-facts").replaceChildren(make("strong", { textContent: content.name }), ` ${facts.join(" · ")}`);
}

/** Connect the ways to open a photo. */
export function startPhotos() {
  const input = $("photo-file");
  for (const id of ["choose-photo", "change-photo"]) $(id).addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    open([...input.files]);
    input.value = "";
  });
  acceptDrop($("photo"), (data) => open([...data.files]));
  addEventListener("paste", (event) => {
    const files = [...event.clipboardData.files].filter((file) => file.type.startsWith("image/"));
    if (files.length && !$("editor").open) open(files);
  });
  watch(["content"], drawFacts);
  watch(["settings"], () => {
    $("example-contents").replaceChildren(
      ...state.settings.examples.contents.map((name) =>
        make(
          "li",
          {},
          make(
            "button",
            { type: "button", className: "thumb", onclick: () => openExample(name) },
            make("img", { src: exampleUrl("contents", name, 384), alt: "", loading: "lazy" }),
            make("span", { textContent: title(name) }),
          ),
        ),
      ),
    );
  });
}
