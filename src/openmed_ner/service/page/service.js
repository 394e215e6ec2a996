/**
 * Requests to the service, and what its refusals mean to a reader.
 *
 * Addresses are relative, so the page works behind any prefix. Text travels in bodies only, never in an
 * address; the access token stays in this module's memory.
 * @module
 */

/** @typedef {{text: string} | {file: File, from: string}} Source what is to be tagged */

const ADVICE = {
  0: "Is it still running? Start it again with “openmed-ner serve”, then try again.",
  401: "Enter the access token that the service was started with.",
  403: "This address is not one the service answers to. Open the page at the address it printed.",
  413: "Send a shorter text or a part of the file, or have the service's limits raised.",
  415: "Choose another kind of file, or say under “Read as” what it is.",
  422: "Mend the text or the file as the message says, then try again.",
  429: "The service has more to do than it can queue. Nothing is lost: try again in a moment.",
  503: "The service is starting, stopping or could not tag this. Try again in a moment.",
  504: "The text took longer than the service allows. Send it in smaller parts.",
};

/** A refusal, or silence, of the service. */
export class ServiceError extends Error {
  /**
   * @param {number} status of HTTP; 0 if there was no answer
   * @param {string} message
   * @param {{where?: string[], wait?: number}} [details] where the fault lies; seconds to wait
   */
  constructor(status, message, { where = [], wait = 0 } = {}) {
    super(message);
    this.status = status;
    this.where = where;
    this.wait = wait;
  }

  /** What to do about it. */
  get advice() {
    return ADVICE[this.status] ?? "Try again; if it stays, look at the service's log.";
  }
}

let token = "";

/** @param {string} value kept until the page is closed */
export function setToken(value) {
  token = value;
}

/** @returns {Promise<any[]>} the bundles the service has loaded */
export async function fetchBundles() {
  const answer = await (await send("bundles", {})).json();
  return Array.isArray(answer?.bundles) ? answer.bundles : [];
}

/**
 * Have a text or a file tagged.
 * @param {Source} source
 * @param {Record<string, unknown>} options `output`, `corpora`, `types`, `threshold`
 * @param {AbortSignal} signal
 * @returns {Promise<Response>}
 */
export function requestTags(source, options, signal) {
  if ("text" in source) {
    const headers = { "Content-Type": "application/json" };
    const body = JSON.stringify({ text: source.text, ...options });
    return send("tag", { method: "POST", headers, body, signal });
  }
  const body = new FormData();
  body.set("file", source.file);
  body.set("from", source.from);
  for (const [name, value] of Object.entries(options)) body.set(name, String(value)); // lists: a,b
  return send("tag/file", { method: "POST", body, signal });
}

/** @param {string} path @param {RequestInit} init */
async function send(path, init) {
  const headers = new Headers(init.headers);
  if (token) headers.set("Authorization", `Bearer ${token}`);
  let response;
  try {
    response = await fetch(path, { ...init, headers, cache: "no-store", referrerPolicy: "no-referrer" });
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new ServiceError(0, "The service does not answer.");
  }
  if (!response.ok) throw await readRefusal(response);
  return response;
}

async function readRefusal(response) {
  const { error } = await response.json().catch(() => ({}));
  const message = error?.message ?? `The service refused (status ${response.status}).`;
  const where = [error?.where ?? []].flat().map(String);
  const wait = Number.parseInt(response.headers.get("Retry-After") ?? "", 10) || 0;
  return new ServiceError(response.status, message, { where, wait });
}
