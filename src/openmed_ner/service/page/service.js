/**
 * Requests to the service, and advice for its refusals.
 *
 * Addresses are relative, so the page works behind any prefix. Text is sent in bodies only, never in an
 * address. The access token stays in the memory of this module.
 * @module
 */

/** @typedef {{text: string} | {file: File, from: string}} Source text or file to tag */

const ADVICE = {
  0: "Is it still running? Start it again with “openmed-ner serve”, then try again.",
  401: "Enter the access token that the service was started with.",
  403: "The service does not accept this address. Open the page at the address it printed.",
  413: "Send a shorter text or a part of the file, or raise the service's limits.",
  415: "Choose another kind of file, or select its format under “Read as”.",
  422: "Correct the text or the file as the message says, then try again.",
  429: "The queue of the service is full. Nothing is lost: try again in a moment.",
  503: "The service is starting or stopping, or failed to tag this. Try again in a moment.",
  504: "The text took longer than the service allows. Send it in smaller parts.",
};

/** A refusal of the service, or no response. */
export class ServiceError extends Error {
  /**
   * @param {number} status HTTP status; 0 if there was no response
   * @param {string} message
   * @param {{places?: string[], wait?: number}} [details] fields, texts or lines; seconds to wait
   */
  constructor(status, message, { places = [], wait = 0 } = {}) {
    super(message);
    this.status = status;
    this.places = places;
    this.wait = wait;
  }

  /** Advice for the reader. */
  get advice() {
    return ADVICE[this.status] ?? "Try again. If it fails again, look at the service's log.";
  }
}

let token = "";

/** @param {string} value token, kept until the page is closed */
export function setToken(value) {
  token = value;
}

/** @returns {Promise<any[]>} bundles that the service has loaded */
export async function fetchBundles() {
  const answer = await (await send("bundles", {})).json();
  return Array.isArray(answer?.bundles) ? answer.bundles : [];
}

/**
 * Ask the service to tag a text or a file.
 * @param {Source} source
 * @param {Record<string, unknown>} options `output`, `layers`, `corpora`, `types`, `threshold`
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
  const places = [error?.where ?? []].flat().map(String);
  const wait = Number.parseInt(response.headers.get("Retry-After") ?? "", 10) || 0;
  return new ServiceError(response.status, message, { places, wait });
}
