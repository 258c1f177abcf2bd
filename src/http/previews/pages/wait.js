// Reloads a page that says that nothing listens yet: ten times, then a person decides.

'use strict';

const KEY = '.casemate-wait';
const TRIES = 10;
/** Milliseconds between two tries. */
const PAUSE = 2000;
/** After this the count begins anew: it was another wait. */
const FORGET = 60_000;

function load() {
  try {
    const { tries, at } = JSON.parse(sessionStorage.getItem(KEY)) ?? {};
    return Date.now() - at < FORGET ? tries : 0;
  } catch {
    return 0;
  }
}

function store(tries) {
  try {
    sessionStorage.setItem(KEY, JSON.stringify({ tries, at: Date.now() }));
    return true;
  } catch {
    return false;
  }
}

const tries = load();
// Without storage it would never stop.
if (tries < TRIES && store(tries + 1)) setTimeout(() => location.reload(), PAUSE);
else document.querySelector('p').textContent = 'Reload the page when the application runs.';
