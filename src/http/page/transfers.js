// What is under way: a line with a bar for each transfer, and how many uploads wait.

import { $, button, make, say } from './dom.js';
import { session } from './session.js';
import { size, visible } from './text.js';

/** What ends each transfer. */
const ends = new Set();

/**
 * A line for a transfer; `total` is null where nobody knows it. The caller reports the
 * bytes so far, and says when it is done, however it ended. `signal` aborts when the
 * person cancels, or leaves.
 */
export function transfer(verb, name, total) {
  const end = new AbortController();
  const what = `${verb} ${visible(name)}`;
  const bar = make('progress', { ariaLabel: what });
  if (total !== null) Object.assign(bar, { max: total || 1, value: 0 });
  const amount = make('span', {});
  const cancel = button('Cancel', what, () => end.abort());
  const line = make('li', {}, make('bdi', { title: visible(name) }, what), amount, cancel, bar);
  $('transfers').append(line);
  ends.add(end);
  let quarter = 0;
  return {
    signal: end.signal,
    report(bytes) {
      amount.textContent = total === null ? size(bytes) : `${size(bytes)} of ${size(total)}`;
      if (total === null) return;
      bar.value = bytes;
      // Each quarter is said: each byte would drown everything else.
      const reached = Math.floor((4 * bytes) / (total || 1));
      if (reached > quarter && reached < 4) say(`${what}: ${25 * reached} %.`);
      quarter = reached;
    },
    done() {
      ends.delete(end);
      if (line.contains(document.activeElement)) $('files-title').focus();
      line.remove();
    },
  };
}

/** How many uploads wait for those before them. */
export function showWaiting(count) {
  $('waiting').hidden = count === 0;
  $('waiting').firstElementChild.textContent = count === 1 ? '1 more file waits.' : `${count} more files wait.`;
}

session.addEventListener('leave', () => {
  for (const end of ends) end.abort();
  $('transfers').replaceChildren();
  showWaiting(0);
});
