// Opens a preview: sends the ticket that is in the address after `#`, which browsers send to nobody
// by themselves, and goes on with the cookie of the answer. It does nothing before a person is there
// to see it: a page that is only prepared or looked at by a program sends no ticket.

'use strict';

const ticket = location.hash.slice(1);

function say(heading, text) {
  document.getElementById('heading').textContent = heading;
  document.getElementById('text').textContent = text;
}

const NOTHING = ['There is nothing here', 'The link is wrong, or it has ended. Ask for a new one.'];

async function open() {
  let answer;
  try {
    answer = await fetch('/.casemate/open', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ ticket }),
      cache: 'no-store',
      credentials: 'same-origin',
    });
  } catch {
    say('The server cannot be reached', 'Reload the page to try again.');
    return;
  }
  const said = await answer.json().catch(() => ({}));
  if (answer.ok) {
    // Replaces this page: the ticket is not in the history.
    location.replace('/');
  } else if (answer.status === 401 && said.sign_in) {
    location.replace(said.sign_in);
  } else if (answer.status === 404) {
    say(...NOTHING);
  } else {
    say('The preview cannot be opened now', said.message ?? 'Try again in a moment.');
  }
}

if (!ticket) say(...NOTHING);
else if (document.prerendering) document.addEventListener('prerenderingchange', open, { once: true });
else open();
