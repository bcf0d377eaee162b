// Files that are dropped on a part of the page, with the files of dropped folders.

/** Let files be dropped on an element. `take` gets the DataTransfer. */
export function acceptDrop(element, take) {
  let depth = 0; // dragenter and dragleave also come from the element's children
  const mark = (change) => {
    depth = Math.max(0, depth + change);
    element.classList.toggle("dropping", depth > 0);
  };
  element.addEventListener("dragenter", () => mark(1));
  element.addEventListener("dragleave", () => mark(-1));
  element.addEventListener("dragover", (event) => event.preventDefault());
  element.addEventListener("drop", (event) => {
    event.preventDefault();
    event.stopPropagation();
    mark(-depth);
    if (event.dataTransfer.files.length) take(event.dataTransfer);
  });
}

const asFile = (entry) =>
  new Promise((resolve, reject) => {
    entry.file(resolve, reject);
  });

/** A folder's reader hands out at most 100 entries at a time, and none at the end. */
async function entriesOf(folder) {
  const reader = folder.createReader();
  const all = [];
  for (;;) {
    const some = await new Promise((resolve, reject) => {
      reader.readEntries(resolve, reject);
    });
    if (!some.length) return all;
    all.push(...some);
  }
}

/** Return the dropped files, and the files that lie directly in dropped folders, as the command line does. */
export async function filesOf(data) {
  const entries = [...data.items].map((item) => item.webkitGetAsEntry()).filter(Boolean); // before any await
  const files = [];
  for (const entry of entries) {
    const inside = entry.isDirectory ? await entriesOf(entry) : [entry];
    for (const file of inside) {
      if (file.isFile) files.push(await asFile(file));
    }
  }
  return files;
}
