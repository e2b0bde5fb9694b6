// Threads need a cross-origin isolated page: headers of the server, or of the page's own service worker (offline.js).

const TRIED = "crqat-isolation-tried";

/** Installs the service worker where it is allowed (https, localhost). Reloads once if that brings threads. */
export async function prepareOffline() {
  if (!("serviceWorker" in navigator)) return;
  try {
    await navigator.serviceWorker.register("offline.js");
    await navigator.serviceWorker.ready;
  } catch {
    return; // a private window, or a full disk: the page works without
  }
  if (self.crossOriginIsolated || sessionStorage.getItem(TRIED)) return;
  sessionStorage.setItem(TRIED, "yes");
  location.reload();
  await new Promise(() => {}); // nothing more happens in this page
}

/** How many threads the runtime may use. ?threads=n asks for fewer. */
export function threadCount() {
  if (!self.crossOriginIsolated) return 1;
  const wished = Number(new URLSearchParams(location.search).get("threads"));
  const available = Math.max(1, navigator.hardwareConcurrency || 1);
  return wished >= 1 ? Math.min(wished, available) : Math.min(4, available);
}
