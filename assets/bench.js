// The form: takes a picture, previews the result, and reads the options.

import { LOSSY, bytesText, predictSize, formatName, formatOf, otherSide, pixelsText, readSide } from "./measure.js";

const $ = (id) => document.getElementById(id);
const form = $("bench");
const input = $("picture");
const preview = $("preview");
const sides = { width: $("width"), height: $("height") };

/** The CSS `object-fit` that previews each fit. */
const OBJECT_FIT = { fill: "fill", cover: "cover", contain: "contain", inside: "fill", outside: "fill" };
const FIT_SAYS = {
  fill: "Exactly this size, stretched if needed.",
  cover: "Exactly this size, cropped.",
  contain: "Exactly this size, padded.",
  inside: "As large as possible within this size.",
  outside: "As small as possible around this size.",
};
const NO_NUMBER = "enter a width, a height, or both";

/** `{ file, url, width, height }`; without sizes if this browser cannot read the picture. */
let picture = null;
/** The side that was typed last. With the lock on, the other side follows it. */
let leading = "width";
let qualityChosen = false;

/** The chosen picture, or `null`. */
export const chosenPicture = () => picture;

/** Sets up the form. `onSend` gets the picture and the options once they pass the checks. */
export function startBench(onSend) {
  input.addEventListener("change", () => input.files[0] && choose(input.files[0]));
  for (const [side, field] of Object.entries(sides)) {
    field.addEventListener("input", () => {
      leading = side;
      clearError(side);
      follow();
    });
  }
  $("lock").addEventListener("click", () => {
    $("lock").setAttribute("aria-pressed", String(!locked()));
    follow();
  });
  $("scales").addEventListener("click", ({ target }) => {
    const percent = Number(target.dataset.percent);
    if (!percent) return;
    leading = "width";
    for (const side of ["width", "height"]) {
      sides[side].value = Math.max(1, Math.round((picture[side] * percent) / 100));
      clearError(side);
    }
    draw();
  });
  $("options").addEventListener("input", ({ target }) => {
    if (target.id === "quality") qualityChosen = true;
    clearError(target.name);
    draw();
  });
  $("quality-reset").addEventListener("click", () => {
    qualityChosen = false;
    draw();
    $("quality").focus();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const options = check();
    if (options) onSend(picture, options);
  });
  draw();
}

/** Chooses a picture and shows its preview. */
export async function choose(file) {
  if (picture) URL.revokeObjectURL(picture.url);
  const mine = { file, url: URL.createObjectURL(file) };
  picture = mine;
  input.value = "";
  clearError("image");
  $("picture-name").textContent = file.name;
  $("picture-name").title = file.name;
  preview.src = mine.url;
  try {
    await preview.decode();
    Object.assign(mine, { width: preview.naturalWidth, height: preview.naturalHeight });
  } catch {
    // This browser cannot read the picture, but the service may know the format.
  }
  if (picture === mine) follow();
}

/** Removes the picture and clears the sizes. */
export function clearBench() {
  if (picture) URL.revokeObjectURL(picture.url);
  picture = null;
  for (const side of ["width", "height"]) sides[side].value = "";
  ["image", "width", "height", "fit", "format", "quality"].forEach(clearError);
  draw();
}

/**
 * Shows each error at its field and moves the focus to the first. Returns the errors of fields that
 * the form does not have.
 */
export function showErrors(errors) {
  const foreign = errors.filter(({ field, message }) => !setError(field, message));
  const first = ["image", "width", "height", "fit", "format", "quality"]
    .map((name) => holderOf(name))
    .find((holder) => holder?.getAttribute("aria-invalid") === "true");
  if (first?.closest("details")) first.closest("details").open = true;
  first?.focus();
  return foreign;
}

const locked = () => $("lock").getAttribute("aria-pressed") === "true";
const fit = () => form.elements.fit.value;
const known = () => Boolean(picture?.width);

/** The format of the result, or `""` if only the service knows. */
function format() {
  const asked = $("format").value;
  if (asked !== "same") return asked;
  const own = formatOf(picture?.file.type);
  return [...$("format").options].some(({ value }) => value === own) ? own : "";
}

/** With the lock on, fills in the other side. */
function follow() {
  if (locked() && known()) {
    const { width, height } = sides;
    if (sides[leading].value.trim() === "" && document.activeElement !== sides[leading]) {
      leading = leading === "width" ? "height" : "width";
    }
    const other = leading === "width" ? height : width;
    const { value } = readSide(sides[leading].value);
    if (value) other.value = otherSide(picture, leading, value);
    else if (value === null) other.value = "";
    if (value !== undefined) clearError(other.id);
  }
  draw();
}

/** Updates the form for the current picture and fields. */
function draw() {
  $("empty").hidden = picture !== null;
  $("filled").hidden = picture === null;
  $("again").hidden = picture === null;
  $("scales").hidden = !known();
  if (!picture) {
    $("picture-name").textContent = "No picture yet";
    $("picture-name").removeAttribute("title");
  }
  $("picture-facts").textContent = factsText();
  drawFrame();
  drawOptions();
}

function factsText() {
  if (!picture) return "JPEG, PNG, WebP, GIF, AVIF, TIFF and more";
  const bytes = bytesText(picture.file.size);
  return known() ? `${pixelsText(picture)}, ${bytes}` : bytes;
}

function drawFrame() {
  const [width, height] = [readSide(sides.width.value).value, readSide(sides.height.value).value];
  const size = known() ? predictSize(picture, { width, height, fit: fit() }) : null;
  const shown = size ?? (known() ? picture : null);
  $("frame").style.setProperty("--ratio", shown ? shown.width / shown.height : 1.5);
  preview.hidden = !known();
  preview.style.objectFit = OBJECT_FIT[fit()];
  preview.alt = picture ? `Preview of ${picture.file.name}` : "";
  $("no-preview").hidden = !picture || known();
  $("no-preview").textContent = "This browser can’t show the file. The service may still read it.";
  for (const [side, number] of [["width", shown?.width ?? width], ["height", shown?.height ?? height]]) {
    $(`dim-${side}`).textContent = number ?? "";
    $(`dim-${side}`).parentElement.hidden = !number;
  }
  $("forecast").textContent = size ? `Result: ${pixelsText(size)} pixels${format() ? ` as ${formatName(format())}` : ""}` : "";
}

function drawOptions() {
  const asked = $("format").value;
  $("fit-says").textContent = FIT_SAYS[fit()];
  $("quality-field").hidden = !LOSSY.has(format());
  $("quality-reset").hidden = !qualityChosen;
  $("quality-says").textContent = qualityChosen ? $("quality").value : "automatic";
  $("quality").setAttribute("aria-valuetext", $("quality-says").textContent);
  $("options-now").textContent = [
    fit(),
    asked === "same" ? "same format" : formatName(asked),
    ...(qualityChosen && LOSSY.has(format()) ? [`quality ${$("quality").value}`] : []),
  ].join(", ");
}

/** Returns the options for the API, or shows the errors and returns `null`. */
function check() {
  const errors = picture ? [] : [{ field: "image", message: "choose a picture first" }];
  const options = {};
  for (const [side, field] of Object.entries(sides)) {
    clearError(side);
    const { value, error } = readSide(field.value);
    if (error) errors.push({ field: side, message: error });
    else if (value !== null) options[side] = value;
  }
  if (Object.values(sides).every((field) => field.value.trim() === "")) errors.push({ field: "width", message: NO_NUMBER });
  if (errors.length > 0) {
    showErrors(errors);
    return null;
  }
  if (fit() !== "fill") options.fit = fit();
  if ($("format").value !== "same") options.format = $("format").value;
  if (qualityChosen && LOSSY.has(format())) options.quality = Number($("quality").value);
  return options;
}

/** The element to focus for a field of the API. */
function holderOf(name) {
  return name === "image" ? input : name === "fit" ? form.querySelector("[name=fit]:checked") : $(name);
}

function errorOf(name) {
  return name && $(`${name === "image" ? "picture" : name}-error`);
}

function setError(name, message) {
  const place = errorOf(name);
  if (!place) return false;
  const label = message === NO_NUMBER ? "" : { width: "Width: ", height: "Height: " }[name] ?? "";
  const words = label + message;
  place.textContent = words[0].toUpperCase() + words.slice(1);
  place.hidden = false;
  holderOf(name).setAttribute("aria-invalid", "true");
  return true;
}

function clearError(name) {
  const place = errorOf(name);
  if (!place) return;
  place.hidden = true;
  place.textContent = "";
  if (name === "fit") form.querySelectorAll("[name=fit]").forEach((radio) => radio.removeAttribute("aria-invalid"));
  else holderOf(name).removeAttribute("aria-invalid");
}
