// The last operations of this browser, kept in its local storage: `{ id, name, size }`.

const KEY = "picresize.recent";
const MOST = 8;

/** Newest first. Empty if storage is disabled or its content is invalid. */
export function recent() {
  try {
    const list = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    return Array.isArray(list) ? list.filter((entry) => typeof entry?.id === "string") : [];
  } catch {
    return [];
  }
}

export function remember(entry) {
  store([entry, ...recent().filter(({ id }) => id !== entry.id)].slice(0, MOST));
}

export function forgetAll() {
  store([]);
}

function store(list) {
  try {
    localStorage.setItem(KEY, JSON.stringify(list));
  } catch {
    // Storage is disabled or full. Nothing depends on the list.
  }
}
