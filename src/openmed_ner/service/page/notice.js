/**
 * Messages about a request: in progress, done, or failed, with advice.
 *
 * The count-down to the next attempt is on the button, outside the alert, so that a screen reader does not
 * read every second of it aloud.
 * @module
 */

/**
 * @param {{alert: HTMLElement, again: HTMLElement, retry: HTMLButtonElement, status: HTMLElement}} parts
 * @param {() => void} onRetry
 */
export function createNotice({ alert, again, retry, status }, onRetry) {
  let timer = 0;

  function clear() {
    clearInterval(timer);
    alert.hidden = true;
    again.hidden = true;
    alert.replaceChildren();
    status.textContent = "";
  }

  /** @param {string} message */
  function say(message) {
    clear();
    status.textContent = message;
  }

  /**
   * @param {{message: string, advice?: string, places?: string[], wait?: number}} problem
   * @param {boolean} [repeatable]
   */
  function fail({ message, advice = "", places = [], wait = 0 }, repeatable = false) {
    clear();
    const title = document.createElement("strong");
    title.textContent = message;
    const list = document.createElement("ul");
    const further = places.filter((place) => !message.includes(place));
    list.append(...further.map((place) => makeText("li", place)));
    alert.append(title, ...(further.length ? [list] : []), makeText("p", advice));
    alert.hidden = false;
    again.hidden = !repeatable;
    countDown(wait);
  }

  function countDown(seconds) {
    retry.disabled = seconds > 0;
    retry.textContent = seconds > 0 ? `Try again in ${seconds} s` : "Try again";
    clearInterval(timer);
    if (seconds > 0) timer = setInterval(() => countDown(seconds - 1), 1000);
  }

  retry.addEventListener("click", onRetry);
  return { clear, say, fail };
}

function makeText(name, text) {
  const element = document.createElement(name);
  element.textContent = text;
  return element;
}
