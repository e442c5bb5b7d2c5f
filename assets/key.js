// The key with which this page uses a service that needs one. It is kept until the tab is closed.

const STORED = "picresize-key";

/** The header with the key, if there is one. */
export function keyHeader() {
  const key = sessionStorage.getItem(STORED);
  return key ? { Authorization: `Bearer ${key}` } : {};
}

/** Asks for a key. Resolves to whether there is a new one. One question at a time is asked. */
export function askForKey(reason) {
  asking ??= ask(reason).finally(() => (asking = null));
  return asking;
}

let asking = null;

function ask(reason) {
  const dialog = document.getElementById("key-dialog");
  const input = document.getElementById("key");
  document.getElementById("key-reason").textContent = sessionStorage.getItem(STORED) ? reason : "";
  input.value = "";
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      const key = dialog.returnValue === "use" ? input.value.trim() : "";
      if (key) sessionStorage.setItem(STORED, key);
      resolve(Boolean(key));
    }, { once: true });
  });
}
