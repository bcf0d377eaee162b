// Requests to the server. Every failure becomes an Error whose message is the server's line.

const ROOT = "api/";

async function request(path, options = {}) {
  let answer;
  try {
    answer = await fetch(ROOT + path, options);
  } catch {
    throw new Error("the server does not answer; is lookcast web still running?");
  }
  if (answer.ok) return answer;
  const text = await answer.text();
  let line;
  try {
    line = JSON.parse(text).error;
  } catch {
    line = text.slice(0, 200);
  }
  throw new Error(line || `${path}: the server answers ${answer.status}`);
}

const asJson = async (answer) => (await answer).json();

/** GET a JSON answer. */
export const get = (path) => asJson(request(path));

/** GET a file; return its bytes and the name that the server gives it. */
export async function getFile(path) {
  const answer = await request(path);
  const header = answer.headers.get("Content-Disposition") ?? "";
  const encoded = /filename\*=utf-8''([^;]+)/i.exec(header)?.[1];
  const name = encoded ? decodeURIComponent(encoded) : /filename="([^"]+)"/.exec(header)?.[1];
  return { blob: await answer.blob(), name };
}

/** POST a JSON body, and return the JSON answer. */
export const post = (path, body = {}) =>
  asJson(
    request(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }),
  );

/** POST the bytes of a file, and return the JSON answer. */
export const send = (path, file) =>
  asJson(request(path, { method: "POST", headers: { "Content-Type": "application/octet-stream" }, body: file }));

/** PUT the bytes of a file. */
export const put = (path, file) =>
  request(path, { method: "PUT", headers: { "Content-Type": "image/png" }, body: file });

export const remove = (path) => request(path, { method: "DELETE" });

const query = (values) => new URLSearchParams(values).toString();

/** URL of a small version of a photo or a result; `of` is "photos/ID" or "results/ID". */
export const previewUrl = (of, side, strength) =>
  `${ROOT}${of}/preview?${query(strength === undefined ? { side } : { side, strength })}`;

/** URL of a part of a photo or a result at full size. */
export const cropUrl = (of, box, strength) =>
  `${ROOT}${of}/crop?${query(strength === undefined ? box : { ...box, strength })}`;

export const exampleUrl = (kind, name, side) => `${ROOT}examples/${kind}/${encodeURIComponent(name)}?side=${side}`;

export const zipUrl = (batch) => `${ROOT}batches/${batch}/zip`;

export const uploadPath = (base, file) => `${base}?${query({ name: file.name })}`;

/** Throw the server's line for a URL that an <img> failed to load. */
export async function explain(url) {
  await request(url.slice(ROOT.length));
  throw new Error("the server's answer is not a picture that this browser can show");
}
