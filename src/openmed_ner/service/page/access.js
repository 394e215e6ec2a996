/**
 * The dialog for the access token, shown when the service asks for one.
 * @module
 */

import { ServiceError } from "./service.js";
import { setToken } from "./transport.js";

/**
 * @param {{dialog: HTMLDialogElement, form: HTMLFormElement, token: HTMLInputElement,
 *   refuse: HTMLButtonElement}} parts
 */
export function createAccess({ dialog, form, token, refuse }) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    dialog.close(token.value);
  });
  refuse.addEventListener("click", () => dialog.close(""));
  dialog.addEventListener("cancel", () => (dialog.returnValue = ""));

  /** @returns {Promise<string>} the token; empty if the dialog was cancelled */
  function ask() {
    token.value = "";
    dialog.returnValue = "";
    dialog.showModal();
    return new Promise((resolve) => {
      dialog.addEventListener("close", () => resolve(dialog.returnValue), { once: true });
    });
  }

  /**
   * Run an action; ask for the token as often as the service refuses it.
   * @template Value
   * @param {() => Promise<Value>} action
   * @returns {Promise<Value>}
   */
  async function withToken(action) {
    for (;;) {
      try {
        return await action();
      } catch (error) {
        if (!(error instanceof ServiceError) || error.status !== 401) throw error;
        const value = await ask();
        if (!value) throw error;
        setToken(value);
      }
    }
  }

  return { withToken };
}
