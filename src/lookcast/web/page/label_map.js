// A mask that is being painted: an RGB image in the nine colours, with undo and redo.

const DEPTH = 100; // strokes that can be undone; one stroke keeps at most 4 MB

/** Pack a colour as a canvas stores it: bytes R, G, B, A in memory, little-endian like every browser's machine. */
const pack = ([r, g, b]) => ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;

export class LabelMap {
  /** `canvas` shows the mask; it has the size of the mask. */
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { willReadFrequently: true });
    this.stroke = null;
  }

  /** Show a mask file. It becomes what the eraser brings back. */
  async read(blob) {
    const bitmap = await createImageBitmap(blob, { colorSpaceConversion: "none" });
    Object.assign(this.canvas, { width: bitmap.width, height: bitmap.height });
    this.context.drawImage(bitmap, 0, 0);
    this.image = this.context.getImageData(0, 0, bitmap.width, bitmap.height);
    this.pixels = new Uint32Array(this.image.data.buffer);
    this.found = this.pixels.slice();
    this.changed = false;
  }

  /** Return the mask as a PNG file. */
  write() {
    return new Promise((resolve) => {
      this.canvas.toBlob(resolve, "image/png");
    });
  }

  /** Start a stroke. `color` is [r, g, b], or null to bring back the mask that was read. */
  begin(color) {
    this.stroke = {
      color: color && pack(color),
      before: this.pixels.slice(),
      x0: Infinity,
      y0: Infinity,
      x1: 0,
      y1: 0,
    };
  }

  /** Paint a line of round dabs between two points, in pixels of the mask. */
  line(from, to, radius) {
    const length = Math.hypot(to.x - from.x, to.y - from.y);
    const steps = Math.max(1, Math.ceil(length / Math.max(1, radius / 4)));
    for (let step = 0; step <= steps; step += 1) {
      const share = step / steps;
      this.#dab(from.x + share * (to.x - from.x), from.y + share * (to.y - from.y), radius);
    }
    this.#draw(
      Math.min(from.x, to.x) - radius,
      Math.min(from.y, to.y) - radius,
      Math.max(from.x, to.x) + radius,
      Math.max(from.y, to.y) + radius,
    );
  }

  /** Fill one disc, a row at a time. */
  #dab(x, y, radius) {
    const { width, height } = this.canvas;
    const { color } = this.stroke;
    for (let row = Math.max(0, Math.ceil(y - radius)); row <= Math.min(height - 1, y + radius); row += 1) {
      const half = Math.sqrt(radius * radius - (row - y) * (row - y));
      const first = row * width + Math.max(0, Math.ceil(x - half));
      const end = row * width + Math.min(width, Math.floor(x + half) + 1);
      if (end <= first) continue;
      if (color === null) this.pixels.set(this.found.subarray(first, end), first);
      else this.pixels.fill(color, first, end);
    }
    const box = this.stroke;
    box.x0 = Math.min(box.x0, x - radius);
    box.y0 = Math.min(box.y0, y - radius);
    box.x1 = Math.max(box.x1, x + radius);
    box.y1 = Math.max(box.y1, y + radius);
  }

  /** Show a changed part. */
  #draw(x0, y0, x1, y1) {
    const x = Math.max(0, Math.floor(x0));
    const y = Math.max(0, Math.floor(y0));
    this.context.putImageData(this.image, 0, 0, x, y, Math.ceil(x1) + 1 - x, Math.ceil(y1) + 1 - y);
  }

  /** End the stroke. Return a record for `swap`, or null if no pixel has changed. */
  end() {
    const { before, ...box } = this.stroke;
    this.stroke = null;
    const { width, height } = this.canvas;
    const x0 = Math.max(0, Math.floor(box.x0));
    const y0 = Math.max(0, Math.floor(box.y0));
    const x1 = Math.min(width, Math.ceil(box.x1) + 1);
    const y1 = Math.min(height, Math.ceil(box.y1) + 1);
    const rows = [];
    let changed = false;
    for (let y = y0; y < y1; y += 1) {
      const row = before.slice(y * width + x0, y * width + x1);
      changed ||= row.some((color, at) => color !== this.pixels[y * width + x0 + at]);
      rows.push(row);
    }
    this.changed ||= changed;
    return changed ? { map: this, x0, y0, x1, y1, rows } : null;
  }

  /** Exchange the pixels of a record with those of the mask: undo, and by a second call redo. */
  swap(record) {
    const { width } = this.canvas;
    record.rows = record.rows.map((row, at) => {
      const first = (record.y0 + at) * width + record.x0;
      const now = this.pixels.slice(first, first + row.length);
      this.pixels.set(row, first);
      return now;
    });
    this.#draw(record.x0, record.y0, record.x1, record.y1);
  }
}

/** The strokes that can be undone and redone, over all masks. */
export class History {
  constructor() {
    this.past = [];
    this.future = [];
  }

  add(record) {
    this.past.push(record);
    this.future = [];
    if (this.past.length > DEPTH) this.past.shift();
  }

  undo() {
    this.#step(this.past, this.future);
  }

  redo() {
    this.#step(this.future, this.past);
  }

  #step(from, to) {
    const record = from.pop();
    if (!record) return;
    record.map.swap(record);
    to.push(record);
  }

  /** Forget the strokes of one mask, because another file has replaced it. */
  forget(map) {
    this.past = this.past.filter((record) => record.map !== map);
    this.future = this.future.filter((record) => record.map !== map);
  }
}
