// What the user shares: each until its end, which may come now.

import { data, request } from './api.js';
import { agree } from './dialogs.js';
import { $, button, make, named, say } from './dom.js';
import { session } from './session.js';
import { onShare, showLinks } from './share.js';
import { instant, quoted } from './text.js';

/** Counts listings: the answer to an old question is not shown. */
let asked = 0;

async function list() {
  const question = (asked += 1);
  try {
    const { shares, more } = await data('/shares');
    if (question === asked) show(shares, more);
  } catch {
    // Whatever it is, the list of files says it.
    if (question === asked) show([], false, 'Unknown.');
  }
}

function show(shares, more, otherwise = 'Nothing is shared.') {
  $('shares').replaceChildren(...shares.map(share));
  $('no-shares').hidden = shares.length > 0 && !more;
  $('no-shares').textContent = more ? 'And more.' : otherwise;
}

/** The name is the user's own; so is whatever else wrote the file. */
function share(shared) {
  const { id, name, visibility, expires_at: end } = shared;
  const who = visibility === 'link' ? 'everyone with the link' : 'you alone';
  return make('li', {},
    make('span', { className: 'what' }, named(name)),
    make('span', { className: 'buttons' },
      button('Link', name, () => showLinks(shared)),
      button('End', name, () => finish(id, name))),
    make('span', { className: 'hint' }, `for ${who}, until ${instant(end).join(', ')}`));
}

async function finish(id, name) {
  if (!(await agree(`End the share of ${quoted(name)}? Its link then opens nothing.`, 'End'))) return;
  try {
    await request(`/shares/${encodeURIComponent(id)}`, { method: 'DELETE' });
    say('The share has ended.');
    await list();
  } catch (error) {
    session.fail(error, 'The share has not ended.');
  }
}

onShare(list);
session.addEventListener('enter', list);
session.addEventListener('leave', () => {
  asked += 1;
  $('shares').replaceChildren();
});
$('refresh').addEventListener('click', list);
