/**
 * Requests to the service, and advice for its refusals.
 *
 * Addresses are relative, so the page works behind any prefix. Text is sent in bodies only, never in an
 * address.
 * @module
 */

import { ADVICE, request } from "./transport.js";

/** @typedef {{text: string} | {file: File, from: string}} Source text or file to tag */

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
  let response;
  try {
    response = await request(path, init);
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
