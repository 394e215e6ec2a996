/**
 * The time that a request has taken, and an estimate of the whole from earlier requests of this page.
 *
 * Screen readers do not read it aloud: it changes every second.
 * @module
 */

const FROM = 2; // seconds; before, nothing is shown

/** @param {HTMLElement} element */
export function createTimer(element) {
  let timer = 0;
  let began = 0;
  let pending = 0;
  /** Characters per second of the last long request; 0 if there was none. */
  let speed = 0;

  /** @param {number} size characters to tag; 0 if unknown */
  function start(size) {
    stop();
    [began, pending] = [performance.now(), size];
    timer = setInterval(draw, 1000);
  }

  function draw() {
    const seconds = Math.round((performance.now() - began) / 1000);
    if (seconds < FROM) return;
    const whole = speed && pending ? Math.round(pending / speed) : 0;
    element.textContent = whole > seconds ? `${seconds} s of about ${whole} s` : `${seconds} s`;
  }

  /** The request succeeded: its speed predicts the next ones. */
  function finish() {
    const seconds = (performance.now() - began) / 1000;
    if (pending && seconds > 0.5) speed = pending / seconds;
  }

  function stop() {
    clearInterval(timer);
    element.textContent = "";
  }

  return { start, finish, stop };
}
