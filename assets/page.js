// The page of picresize. Two views share it: the bench, where a picture is chosen and sent (`/`),
// and one operation (`/result?id=`). This file leads from one to the other.

import { chosenPicture, choose, clearBench, showErrors, startBench } from "./bench.js";
import { Problem, follow, newKey, sleep, story, submit } from "./client.js";
import { formatOf } from "./measure.js";
import { forgetAll, recent, remember } from "./recent.js";
import { showEnd, showResult, showStatus, showStory, showTrouble, showWaiting, startResult } from "./result.js";

const $ = (id) => document.getElementById(id);

/** How long a small picture takes from the answer to its result, generously. */
const FIRST_LOOK_MS = 150;

/** The operation this page sent last: its identifier, and the picture as it was then. */
let sent = null;
/** Ends what is being followed when another view opens. */
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
// Who changes the request doesn't want the old one repeated.
$("bench").addEventListener("input", clearAlert);
addEventListener("popstate", () => route());
route();

/** Opens the view that the address names. */
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

/** Sends a picture; `key` stays the same for every repetition of one press of the button. */
async function send(picture, options, key = newKey()) {
  if (sending) return;
  clearAlert();
  setSending(true);
  const mine = leaving;
  try {
    const id = await submit(picture.file, options, key);
    // The form may drop its picture while this operation is still on show.
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

/** Errors of fields stand at their fields; the rest becomes an alert. */
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

/** Repeats by itself what the service asked to repeat, unless the person was faster. */
async function retryIn(ms, again) {
  const note = document.createElement("span");
  note.textContent = `Trying again in ${Math.max(1, Math.ceil(ms / 1000))} s.`;
  $("alert").querySelector("p").append(" ", note);
  await sleep(ms);
  if (note.isConnected) again();
}

/** Shows an operation from wherever it stands to its end. */
async function openOperation(id, signal) {
  const original = sent?.id === id ? sent.picture : null;
  const name = original?.file.name ?? recent().find((entry) => entry.id === id)?.name;
  document.title = name ? `${name} · picresize` : "picresize";
  showWaiting(id, original);
  $("headline").focus();
  if (id === "") return end("This link is incomplete", "It names no operation: it should end in ?id= and an identifier.");
  announce(`Sent. The identifier is ${id}`);
  try {
    // A first look at once would nearly always come too early, and cost the whole Retry-After.
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
    const told = await story(id, signal).catch(() => null);
    if (signal.aborted) return;
    const source = told?.source ?? (original && factsOf(original));
    if (told) showStory(told);
    announce(await showResult(result, { source, original, name, fit: told?.requested?.fit ?? "fill" }));
  } catch (problem) {
    if (signal.aborted) return;
    if (!(problem instanceof Problem)) throw problem;
    showFailure(problem, id, signal);
  }
}

async function showFailure(problem, id, signal) {
  if (problem.status === 404 || problem.status === 400) return end("No such picture here", `${problem.message} Perhaps a part of the link is missing.`);
  if (problem.status === 410) return end("This result is gone", problem.message);
  if (problem.status !== 422) return end(problem.title, problem.message, { again: true });
  end("This picture could not be resized", problem.message);
  const told = await story(id, signal).catch(() => null);
  if (told && !signal.aborted) showStory(told);
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

/** Pictures come by dropping and pasting too, whatever is open. */
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
