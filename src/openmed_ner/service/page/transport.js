/**
 * The way of a request to the service: over HTTP, with the access token.
 *
 * A page that is exported for use without a service has another module of this name.
 * @module
 */

/** Advice for refusals, by status; 0 means no response. */
export const ADVICE = {
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

let token = "";

/** @param {string} value token, kept until the page is closed */
export function setToken(value) {
  token = value;
}

/**
 * @param {string} path
 * @param {RequestInit} init
 * @returns {Promise<Response>}
 */
export function request(path, init) {
  const headers = new Headers(init.headers);
  if (token) headers.set("Authorization", `Bearer ${token}`);
  return fetch(path, { ...init, headers, cache: "no-store", referrerPolicy: "no-referrer" });
}
