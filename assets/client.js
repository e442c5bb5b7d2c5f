// The HTTP client: posts a picture, follows its operation, and turns failures into `Problem`s.

import { askForKey, keyHeader } from "./key.js";

const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 2000;
/** How many times in a row to retry before asking the user. */
const MOST_RETRIES = 5;

/** A failed request. `status` is 0 if there was no answer; `errors` are the errors of fields. */
export class Problem extends Error {
  constructor({ status, title, detail, errors = [], retryAfterMs = null }) {
    super(detail || title);
    Object.assign(this, { status, title, errors, retryAfterMs });
  }

  /** Whether the same request may succeed later. */
  get passes() {
    return [0, 429, 502, 503, 504].includes(this.status);
  }
}

/** Posts a request and returns its identifier. The same `key` gives the same operation. */
export async function submit(file, options, key) {
  const body = JSON.stringify({ image: await base64Of(file), ...options });
  const headers = { "Content-Type": "application/json", "Idempotency-Key": key };
  const { answer } = await call("/api/", { method: "POST", headers, body });
  return answer.identifier;
}

/** An idempotency key for one press of the button. `randomUUID` needs a secure context. */
export function newKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * Waits for the end of an operation and returns its result. `onStatus` gets each status, `onTrouble`
 * each failed request that will be retried.
 */
export async function follow(id, { signal, onStatus, onTrouble }) {
  let wait = FIRST_WAIT_MS;
  let failures = 0;
  for (;;) {
    let pause = null;
    try {
      const { answer, response } = await call(`/api/${encodeURIComponent(id)}`, { signal, headers: { Accept: "application/json" } });
      if (response.status === 200 && !("status" in answer)) return answer;
      failures = 0;
      onStatus(answer.status);
      pause = retryAfterMs(response);
    } catch (problem) {
      failures += 1;
      if (!(problem instanceof Problem) || !problem.passes || failures > MOST_RETRIES) throw problem;
      pause = problem.retryAfterMs ?? LONGEST_WAIT_MS;
      onTrouble(problem, pause);
    }
    await sleep(pause ?? wait, signal);
    wait = Math.min(wait * 1.5, LONGEST_WAIT_MS);
  }
}

/** Returns the full history of an operation. */
export async function fetchHistory(id, signal) {
  return (await call(`/api/${encodeURIComponent(id)}/status`, { signal })).answer;
}

/** The picture inside a result. */
export function pictureOf({ image, content_type: type }) {
  return new Blob([Uint8Array.from(atob(image), (letter) => letter.charCodeAt(0))], { type });
}

/** Makes a link to the picture itself, which needs no key. */
export async function linkTo(id) {
  const { answer } = await call(`/api/${encodeURIComponent(id)}/link`, { method: "POST" });
  return new URL(answer.url, location.origin).href;
}

async function call(path, init) {
  let response;
  try {
    const headers = { ...init?.headers, ...keyHeader() };
    response = await fetch(path, { cache: "no-store", ...init, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem({ status: 0, title: "No answer", detail: "The service could not be reached." });
  }
  const answer = await response.json().catch(() => null);
  if (response.ok && answer) return { answer, response };
  if (response.status === 401 && (await askForKey(answer?.detail ?? ""))) return call(path, init);
  throw new Problem({
    status: response.status,
    title: answer?.title ?? `The service answered ${response.status}`,
    detail: answer?.detail ?? "The answer could not be read.",
    errors: answer?.errors ?? [],
    retryAfterMs: retryAfterMs(response),
  });
}

/** `Retry-After` in either of its forms (RFC 9110, section 10.2.3), or `null`. */
function retryAfterMs(response) {
  const text = response.headers.get("Retry-After");
  if (text === null) return null;
  const seconds = /^\d+$/.test(text) ? Number(text) : (Date.parse(text) - Date.now()) / 1000;
  return Number.isFinite(seconds) ? Math.max(0, seconds) * 1000 : null;
}

/** Resolves after `ms`; rejects when aborted. */
export function sleep(ms, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    }, { once: true });
  });
}

function base64Of(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.onerror = () => reject(new Problem({
      status: -1,
      title: "The picture could not be read",
      detail: "It was moved or changed after you chose it.",
      errors: [{ field: "image", message: "the file can no longer be read: choose it again" }],
    }));
    reader.readAsDataURL(file);
  });
}
