// The view of one operation: its progress, its result beside the original, its history, its failure.

import { linkTo, pictureOf } from "./client.js";
import { bytesText, changeText, formatName, formatOf, pixelsText, resultName } from "./measure.js";

const $ = (id) => document.getElementById(id);

const STEPS = ["queued", "processing", "done"];
const WORDS = {
  sending: ["Sending", "The picture is on its way."],
  queued: ["Queued", "Accepted and stored. Waiting for a worker."],
  processing: ["Resizing", "A worker is processing the picture."],
};
const OBJECT_FIT = { cover: "cover", contain: "contain" };

/** The object URL of the result. */
let resultUrl = null;

export function startResult() {
  $("views").addEventListener("change", drawView);
  $("cut").addEventListener("input", drawCut);
  $("copy").addEventListener("click", copyLink);
  $("share-copy").addEventListener("click", shareLink);
  const wipe = $("wipe");
  const drag = (event) => {
    const { left, width } = wipe.getBoundingClientRect();
    $("cut").value = Math.round(((event.clientX - left) / width) * 100);
    drawCut();
  };
  wipe.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    wipe.setPointerCapture(event.pointerId);
    $("cut").focus({ focusVisible: false });
    drag(event);
  });
  wipe.addEventListener("pointermove", (event) => wipe.hasPointerCapture(event.pointerId) && drag(event));
}

/**
 * Shows an operation that is not done. `original` is the picture from the form, or `null` if this
 * page did not send it.
 */
export function showWaiting(id, original) {
  if (resultUrl) URL.revokeObjectURL(resultUrl);
  resultUrl = null;
  for (const part of ["absent", "views", "beside", "compare", "measures", "download", "resume", "history", "share-field"]) $(part).hidden = true;
  for (const part of ["waiting", "progress", "link-field", "identifier-line"]) $(part).hidden = false;
  $("adjust").hidden = !original;
  emphasise(false);
  const size = original?.width ? original : { width: 3, height: 2 };
  $("ghost").classList.add("ghost");
  $("ghost").style.setProperty("--ratio", size.width / size.height);
  $("ghost-picture").hidden = !original?.width;
  if (original?.width) $("ghost-picture").src = original.url;
  $("identifier").textContent = id;
  $("link").value = `${location.origin}/result?id=${encodeURIComponent(id)}`;
  $("copy").textContent = "Copy";
  showStatus("queued");
}

export function showStatus(status) {
  const [headline, subline] = WORDS[status] ?? [status, ""];
  say(headline, subline);
  drawProgress(status);
}

/** Shows that the last request failed and will be retried. */
export function showTrouble(problem, pauseMs) {
  $("subline").textContent = `${problem.message} Trying again in ${Math.max(1, Math.ceil(pauseMs / 1000))} s.`;
}

/** Shows an end without a result: `headline` and the reason. `again` offers to check again. */
export function showEnd(headline, reason, { again = false } = {}) {
  say(headline, capital(reason));
  $("progress").hidden = true;
  $("ghost").classList.remove("ghost");
  $("waiting").hidden = $("ghost-picture").hidden;
  $("absent").hidden = !$("waiting").hidden;
  $("resume").hidden = !again;
  emphasise(!again);
  $("link-field").hidden = !again;
  $("identifier-line").hidden = $("identifier").textContent === "";
}

/**
 * Shows a result. `source` holds the original's `{ format, width, height, bytes }` as far as known,
 * `original` is as in [`showWaiting`], `name` is the file's name. Returns a sentence to announce.
 */
export async function showResult(result, { source, original, name, fit }) {
  const blob = pictureOf(result);
  const bytes = result.bytes ?? blob.size;
  const size = pixelsText(result);
  resultUrl = URL.createObjectURL(blob);

  say(source?.bytes ? changeText(source.bytes, bytes) : "Done", `${size} pixels, ${bytesText(bytes)}`);
  drawProgress("done");
  for (const part of ["waiting", "progress", "resume"]) $(part).hidden = true;

  const file = resultName(name, result, result.content_type);
  $("download").href = resultUrl;
  $("download").download = file;
  $("download").textContent = "Download";
  $("download").title = file;
  $("download").hidden = false;
  $("share").value = "";
  $("share-copy").textContent = "Make a link";
  $("share-field").hidden = false;

  $("from-pixels").textContent = source?.width ? pixelsText(source) : "unknown";
  $("from-bytes").textContent = source?.bytes ? bytesText(source.bytes) : "unknown";
  $("from-format").textContent = source?.format ? formatName(source.format) : "unknown";
  $("to-pixels").textContent = size;
  $("to-bytes").textContent = bytesText(bytes);
  $("to-format").textContent = formatName(formatOf(result.content_type));
  $("measures").hidden = false;

  const both = Boolean(original?.width);
  $("before-figure").hidden = !both;
  $("views").hidden = !both;
  if (both) {
    for (const picture of ["before", "wipe-before"]) $(picture).src = original.url;
    $("before-facts").textContent = `${pixelsText(original)}, ${bytesText(original.file.size)}`;
    $("wipe-before").style.objectFit = OBJECT_FIT[fit] ?? "fill";
    $("wipe").style.setProperty("--ratio", result.width / result.height);
  }
  $("after-facts").textContent = `${size}, ${bytesText(bytes)}`;
  for (const picture of ["after", "wipe-after"]) $(picture).src = resultUrl;
  $("after").alt = `The result, ${size} pixels`;
  const seen = await $("after").decode().then(() => true, () => false);
  $("after").hidden = !seen;
  $("after-unseen").hidden = seen;
  $("after-unseen").textContent = `This browser can’t show ${$("to-format").textContent}. Download it to see it.`;
  if (!seen) $("views").hidden = true;
  $("views").querySelector("[value=beside]").checked = true;
  drawView();
  return `Done: ${size} pixels, ${bytesText(bytes)}`;
}

/** Shows the history of an operation: its options, steps and worker. */
export function showHistory({ requested = {}, steps = [], attempts, worker, engine }) {
  const { width, height, ...others } = requested;
  const asked = Object.entries({ width, height, ...others })
    .filter(([, value]) => value !== null && value !== undefined)
    .map(([key, value]) => `${key.replaceAll("_", " ")} ${value}`);
  const times = steps.map(({ at }) => Date.parse(at));
  const rows = [
    ["Options", asked.join(", ")],
    ...steps.map(({ step }, index) => [capital(step), stepText(times, index)]),
    ["Attempts", attempts],
    ["Worker", worker],
    ["Engine", engine],
  ].filter(([, value]) => value !== null && value !== undefined && value !== "");
  $("history-list").replaceChildren(...rows.flatMap(([term, value]) => [element("dt", term), element("dd", value)]));
  $("history").hidden = rows.length === 0;
}

function say(headline, subline) {
  $("headline").textContent = headline;
  $("subline").textContent = subline;
}

/** Makes `New picture` the primary button if there is no result to download. */
function emphasise(fresh) {
  $("fresh").classList.toggle("primary", fresh);
  $("fresh").classList.toggle("quiet", !fresh);
}

function drawProgress(status) {
  const reached = Math.max(0, STEPS.indexOf(status));
  $("progress").style.setProperty("--filled", `${(reached / (STEPS.length - 1)) * 100}%`);
  for (const item of $("progress").children) item.classList.toggle("now", item.dataset.step === status);
}

function drawView() {
  const compare = !$("views").hidden && $("views").querySelector("[value=compare]").checked;
  $("beside").hidden = compare;
  $("compare").hidden = !compare;
  drawCut();
}

function drawCut() {
  $("wipe").style.setProperty("--cut", `${$("cut").value}%`);
  $("cut").setAttribute("aria-valuetext", `${$("cut").value}% original`);
}

function copyLink() {
  return copyFrom($("link"), $("copy"));
}

/** Makes a signed link first, if there is none yet. */
async function shareLink() {
  const share = $("share");
  if (!share.value) {
    try {
      share.value = await linkTo($("identifier").textContent);
    } catch (problem) {
      $("share-says").textContent = problem.message;
      return;
    }
    $("share-copy").textContent = "Copy";
  }
  await copyFrom(share, $("share-copy"));
}

async function copyFrom(link, button) {
  link.select();
  try {
    await navigator.clipboard.writeText(link.value);
    button.textContent = "Copied";
    $("live").textContent = "Link copied";
  } catch {
    // There is no clipboard outside secure contexts, but the link is selected.
    link.focus();
    $("live").textContent = "The link is selected. Copy it with the keyboard.";
  }
}

/** The time of the first step; for later steps, the time since the previous one. */
function stepText(times, index) {
  if (index === 0) return new Date(times[0]).toLocaleString();
  const ms = times[index] - times[index - 1];
  if (!Number.isFinite(ms)) return "";
  return ms < 1000 ? `after ${ms} ms` : `after ${(ms / 1000).toFixed(1)} s`;
}

function capital(words) {
  return words.charAt(0).toUpperCase() + words.slice(1);
}

function element(tag, text) {
  const made = document.createElement(tag);
  made.textContent = text;
  return made;
}
