// The web page of picresize. It has two views: the form, where a picture is chosen and sent (`/`),
// and one operation (`/result?id=`). This file switches between them.

import { chosenPicture, choose, clearBench, showErrors, startBench } from "./bench.js";
import { Problem, fetchHistory, follow, newKey, sleep, submit } from "./client.js";
import { formatOf } from "./measure.js";
import { forgetAll, recent, remember } from "./recent.js";
import { showEnd, showHistory, showResult, showStatus, showTrouble, showWaiting, startResult } from "./result.js";

const $ = (id) => document.getElementById(id);

/** A generous estimate of how long a small picture takes from the answer to its result. */
const FIRST_LOOK_MS = 150;

/** The last operation that this page sent: its identifier and its picture. */
let sent = null;
/** Stops following an operation when another view opens. */
let leaving = new AbortController();
let sending = false;

startBench(send);
startResult();
listenForPictures();
$("adjust").addEventListener("click", () => goTo("/"));
$("resume").addEventListener("click", () => route());
$("fresh").addEventListener("click", () => {
  clearBench();
  goTo("/");
});
$("recent-clear").addEventListener("click", () => {
  forgetAll();
  drawRecent();
  $("send").focus();
});
// When the request changes, the old one must not be retried.
$("bench").addEventListener("input", clearAlert);
addEventListener("popstate", () => route());
route();

/** Opens the view for the current address. */
function route() {
  leaving.abort();
  leaving = new AbortController();
  clearAlert();
  const onOperation = location.pathname.replace(/\/$/, "") === "/result";
  $("bench").hidden = onOperation;
  $("operation").hidden = !onOperation;
  if (onOperation) {
    openOperation(new URLSearchParams(location.search).get("id") ?? "", leaving.signal);
  } else {
    document.title = "picresize";
    drawRecent();
  }
}

function goTo(address) {
  history.pushState(null, "", address);
  route();
  scrollTo(0, 0);
  if (!$("bench").hidden) (chosenPicture() ? $("width") : $("picture")).focus();
}

/** Sends a picture. All retries of one press of the button use the same `key`. */
async function send(picture, options, key = newKey()) {
  if (sending) return;
  clearAlert();
  setSending(true);
  const mine = leaving;
  try {
    const id = await submit(picture.file, options, key);
    // The form may discard its picture while this operation is still shown.
    if (sent) URL.revokeObjectURL(sent.picture.url);
    sent = { id, picture: { ...picture, url: URL.createObjectURL(picture.file) } };
    remember({ id, name: picture.file.name, size: sizeText(options) });
    if (mine === leaving) goTo(`/result?id=${encodeURIComponent(id)}`);
  } catch (problem) {
    if (mine === leaving) showRefusal(problem, () => send(picture, options, key));
  } finally {
    setSending(false);
  }
}

function setSending(now) {
  sending = now;
  $("send").textContent = now ? "Sending…" : "Resize picture";
  $("send").setAttribute("aria-disabled", String(now));
  if (now) announce("Sending the picture");
}

/** Shows errors of fields at their fields, and all others as an alert. */
function showRefusal(problem, again) {
  if (!(problem instanceof Problem)) throw problem;
  const foreign = showErrors(problem.errors);
  if (problem.errors.length > 0 && foreign.length === 0) return;
  const details = foreign.map(({ field, message }) => `${field}: ${message}`).join(". ");
  if (problem.status === 413) return showErrors([{ field: "image", message: problem.message }]);
  const words = details || problem.message;
  if (!problem.passes) return showAlert(problem.title, words);
  showAlert(problem.title, words, again);
  if (problem.retryAfterMs !== null) retryIn(problem.retryAfterMs, again);
}

/** Retries after the time that the service asked for, unless the user did so before. */
async function retryIn(ms, again) {
  const note = document.createElement("span");
  note.textContent = `Trying again in ${Math.max(1, Math.ceil(ms / 1000))} s.`;
  $("alert").querySelector("p").append(" ", note);
  await sleep(ms);
  if (note.isConnected) again();
}

/** Shows an operation from its current status to its end. */
async function openOperation(id, signal) {
  const original = sent?.id === id ? sent.picture : null;
  const name = original?.file.name ?? recent().find((entry) => entry.id === id)?.name;
  document.title = name ? `${name} · picresize` : "picresize";
  showWaiting(id, original);
  $("headline").focus();
  if (id === "") return end("This link is incomplete", "It should end with ?id= and an identifier.");
  announce(`Sent. The identifier is ${id}`);
  try {
    // An immediate request would nearly always come too early, and then wait for all of Retry-After.
    if (original) await sleep(FIRST_LOOK_MS, signal);
    let last = "queued";
    const result = await follow(id, {
      signal,
      onStatus: (status) => {
        showStatus(status);
        if (status !== last) announce({ processing: "Resizing" }[status] ?? status);
        last = status;
      },
      onTrouble: showTrouble,
    });
    const details = await fetchHistory(id, signal).catch(() => null);
    if (signal.aborted) return;
    const source = details?.source ?? (original && factsOf(original));
    if (details) showHistory(details);
    announce(await showResult(result, { source, original, name, fit: details?.requested?.fit ?? "fill" }));
  } catch (problem) {
    if (signal.aborted) return;
    if (!(problem instanceof Problem)) throw problem;
    showFailure(problem, id, signal);
  }
}

async function showFailure(problem, id, signal) {
  if (problem.status === 404 || problem.status === 400) return end("No such picture here", `${problem.message} Perhaps part of the link is missing.`);
  if (problem.status === 410) return end("This result is gone", problem.message);
  if (problem.status !== 422) return end(problem.title, problem.message, { again: true });
  end("This picture could not be resized", problem.message);
  const details = await fetchHistory(id, signal).catch(() => null);
  if (details && !signal.aborted) showHistory(details);
}

function end(headline, reason, options) {
  showEnd(headline, reason, options);
  announce(`${headline}. ${reason}`);
}

function factsOf({ file, width, height }) {
  return { format: formatOf(file.type), width, height, bytes: file.size };
}

function sizeText({ width, height }) {
  if (width && height) return `${width} × ${height}`;
  return width ? `${width} wide` : `${height} high`;
}

function drawRecent() {
  const list = recent();
  $("recent").hidden = list.length === 0;
  $("recent-list").replaceChildren(...list.map(({ id, name, size }) => {
    const item = document.createElement("li");
    const link = item.appendChild(document.createElement("a"));
    link.href = `/result?id=${encodeURIComponent(id)}`;
    for (const text of [name, size]) link.appendChild(document.createElement("span")).textContent = text;
    return item;
  }));
}

/** Accepts dropped and pasted pictures in every view. */
function listenForPictures() {
  const carriesFiles = ({ dataTransfer }) => dataTransfer?.types.includes("Files");
  let depth = 0;
  const setDepth = (value) => {
    depth = Math.max(0, value);
    $("drop").hidden = depth === 0;
  };
  addEventListener("dragenter", (event) => carriesFiles(event) && setDepth(depth + 1));
  addEventListener("dragleave", (event) => carriesFiles(event) && setDepth(depth - 1));
  addEventListener("dragover", (event) => carriesFiles(event) && event.preventDefault());
  addEventListener("drop", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    setDepth(0);
    take(event.dataTransfer.files);
  });
  addEventListener("paste", ({ clipboardData }) => take(clipboardData.files));
}

function take([file]) {
  if (!file || sending) return;
  if ($("bench").hidden) goTo("/");
  clearAlert();
  choose(file);
  announce(`${file.name} chosen`);
}

function showAlert(title, text, again) {
  const words = document.createElement("p");
  words.appendChild(document.createElement("strong")).textContent = title;
  words.append(text);
  $("alert").replaceChildren(words);
  if (again) {
    const button = $("alert").appendChild(document.createElement("button"));
    button.type = "button";
    button.className = "button quiet";
    button.textContent = "Try again";
    button.addEventListener("click", again);
  }
  $("alert").scrollIntoView({ block: "nearest" });
}

function clearAlert() {
  $("alert").replaceChildren();
}

function announce(text) {
  $("live").textContent = text;
}
