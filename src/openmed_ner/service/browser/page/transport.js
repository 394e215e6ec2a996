/**
 * The way of a request without a service: to a worker of this page, which tags the text.
 *
 * The worker is started from an address that holds its code. It has the page's security policy then, which
 * allows no site but its own.
 * @module
 */

/** Advice for refusals, by status. */
export const ADVICE = {
  422: "Correct the text or the file as the message says, then try again.",
  503: "Try a shorter text, or reload the page.",
};

/** @type {Map<number, (response: Response) => void>} */
const waiting = new Map();
let n_requests = 0;
const worker = startWorker();

/** There is no access token, since there is no service. */
export function setToken() {}

/**
 * @param {string} path
 * @param {RequestInit} init
 * @returns {Promise<Response>}
 */
export async function request(path, { body, signal }) {
  const message = { id: n_requests++, path, ...(await readBody(body)) };
  return new Promise((resolve, reject) => {
    signal?.addEventListener("abort", () => {
      worker.postMessage({ abort: message.id });
      reject(signal.reason);
    });
    waiting.set(message.id, resolve);
    worker.postMessage(message);
  });
}

/** The fields of a request, and its file if it has one. */
async function readBody(body) {
  if (!(body instanceof FormData)) return { fields: body ? JSON.parse(body) : {} };
  const { file, ...fields } = Object.fromEntries(body);
  return { fields, content: await file.arrayBuffer(), name: file.name };
}

function startWorker() {
  const code = `import ${JSON.stringify(new URL("worker.js", import.meta.url).href)};`;
  const address = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
  const started = new Worker(address, { type: "module" });
  started.addEventListener("message", ({ data }) => (data.progress ? showProgress(data.progress) : settle(data)));
  started.addEventListener("error", ({ message }) => showProgress(`The page cannot tag: ${message}`));
  return started;
}

function showProgress(message) {
  document.getElementById("loaded").textContent = message;
}

function settle({ id, status, type, content }) {
  waiting.get(id)?.(new Response(content, { status, headers: { "Content-Type": type } }));
  waiting.delete(id);
}
