// Sizes: reads, predicts and formats them. Nothing here touches the page.

/** Formats with a quality setting. */
export const LOSSY = new Set(["jpeg", "webp", "avif"]);

const NAMES = { jpeg: "JPEG", png: "PNG", webp: "WebP", gif: "GIF", avif: "AVIF", bmp: "BMP", tiff: "TIFF", ico: "ICO", jxl: "JPEG XL", heic: "HEIC" };
const EXTENSIONS = { jpeg: "jpg", tiff: "tif" };

/** The API's format name for a media type, or `""` if it isn't an image type. */
export function formatOf(contentType) {
  const name = /^image\/(?:x-|vnd\.microsoft\.)?([a-z]+)/.exec(contentType ?? "")?.[1] ?? "";
  return { jpg: "jpeg", icon: "ico", tif: "tiff" }[name] ?? name;
}

/** A format's display name. */
export function formatName(format) {
  return NAMES[format] ?? format?.toUpperCase() ?? "";
}

/** `412 kB`, with a non-breaking space and at most three significant digits. */
export function bytesText(bytes) {
  if (bytes < 1000) return `${bytes}\u00a0${bytes === 1 ? "byte" : "bytes"}`;
  const [value, unit] = bytes < 999_500 ? [bytes / 1e3, "kB"] : [bytes / 1e6, "MB"];
  return `${value < 9.95 ? Number(value.toFixed(1)) : Math.round(value)}\u00a0${unit}`;
}

export function pixelsText({ width, height }) {
  return `${width}\u00a0×\u00a0${height}`;
}

/** How the size in bytes changed: `96% smaller`. */
export function changeText(before, after) {
  const percent = Math.round((1 - after / before) * 100);
  if (after === before) return "Same size in bytes";
  if (percent === 0) return after < before ? "Slightly smaller" : "Slightly larger";
  return percent > 0 ? `${Math.min(percent, 99)}% smaller` : `${-percent}% larger`;
}

/** `harbour-320x200.jpg` for the result of `harbour.png`. */
export function resultName(sourceName, { width, height }, contentType) {
  const stem = (sourceName ?? "").replace(/\.[^.]*$/, "").trim() || "picture";
  const format = formatOf(contentType);
  return `${stem}-${width}x${height}.${EXTENSIONS[format] ?? (format || "bin")}`;
}

/** Reads a side: `{ value }`, which is `null` for an empty field, or `{ error }`. */
export function readSide(text) {
  const trimmed = text.trim();
  if (trimmed === "") return { value: null };
  if (!/^[-+]?\d+$/.test(trimmed)) return { error: `“${trimmed}” is not a whole number: enter pixels, such as 320` };
  const value = Number(trimmed);
  return value < 1 ? { error: `${trimmed} is too small: the minimum is 1` } : { value };
}

/** The length of the other side at `source`'s aspect ratio; `known` is the length of `side`. */
export function otherSide(source, side, known) {
  const ratio = side === "width" ? source.height / source.width : source.width / source.height;
  return Math.max(1, Math.round(known * ratio));
}

/** The size of the result, or `null` if no size was entered. */
export function predictSize(source, { width, height, fit }) {
  if (!width && !height) return null;
  if (!height) return { width, height: otherSide(source, "width", width) };
  if (!width) return { width: otherSide(source, "height", height), height };
  if (fit !== "inside" && fit !== "outside") return { width, height };
  const scales = [width / source.width, height / source.height];
  const scale = fit === "inside" ? Math.min(...scales) : Math.max(...scales);
  return {
    width: Math.max(1, Math.round(source.width * scale)),
    height: Math.max(1, Math.round(source.height * scale)),
  };
}
