// The page for people: sign in, see and change the files, see the sandbox and what runs in it.
//
//     main ─► actions, upload ─► listing ─► rows, order ──────────► session ─► api, dom ─► text
//         ├─► preview ─► view ─► content        commands ─► outcome ┤
//         └─► shares ─► share       sandbox, workspaces, transfers ─┘
//
// This module has what is around the parts: signing in and out, the way to the server.

import './actions.js';
import './commands.js';
import { unask } from './dialogs.js';
import { $, named, say } from './dom.js';
import './preview.js';
import './sandbox.js';
import { session } from './session.js';
import './shares.js';
import './upload.js';
import './workspaces.js';

/** Milliseconds between two looks at the sandbox. */
const LOOK_AGAIN = 5000;

const EXCHANGED = 'It is exchanged for a session in this browser, which ends after 8 hours or when you sign out.';

/** One of the three things that the page can be. */
function become(id) {
  for (const main of document.querySelectorAll('main')) main.hidden = main.id !== id;
  $('who').hidden = id !== 'workspace';
}

session.addEventListener('enter', () => {
  become('workspace');
  $('user').replaceChildren(named(session.status.user));
  $('sign-out').hidden = !session.isSignedIn;
  found();
});

session.addEventListener('leave', ({ detail: why }) => {
  unask();
  $('user').replaceChildren();
  become('sign-in');
  found();
  refuse(why);
  const atIssuer = session.method === 'issuer';
  $('with-token').hidden = atIssuer;
  $('at-issuer').hidden = !atIssuer;
  if (session.isExchanging) $('kept').textContent = EXCHANGED;
  $(atIssuer ? 'at-issuer' : 'token').focus();
});

session.addEventListener('lost', ({ detail: why }) => {
  $('lost').textContent = `${why} This page tries again every few seconds.`;
  $('lost').hidden = false;
});
session.addEventListener('back', () => {
  found();
  say('The server answers again.');
});

function found() {
  $('lost').hidden = true;
}

/** Says beside the token why it takes one, or another. */
function refuse(why) {
  $('refused').textContent = why;
  $('refused').hidden = !why;
  $('token').ariaInvalid = String(Boolean(why));
}

$('sign-in').querySelector('form').addEventListener('submit', async (event) => {
  event.preventDefault();
  const enter = event.target.querySelector('button');
  if (enter.ariaDisabled === 'true') return;
  enter.ariaDisabled = 'true';
  refuse('');
  try {
    await session.enter($('token').value.trim());
    $('token').value = '';
    $('files-title').focus();
  } catch (error) {
    refuse(error.message);
    // A mistyped one is typed anew, one that came at a bad time is sent again.
    $('token').select();
    $('token').focus();
  } finally {
    enter.ariaDisabled = 'false';
  }
});
$('sign-out').addEventListener('click', () => session.signOut());
$('refresh').addEventListener('click', () => session.look());

/** Looks again and again: while somebody is in, or until it is known who may be. */
async function watch() {
  if (!document.hidden && $('sign-in').hidden) await session.look();
  setTimeout(watch, LOOK_AGAIN);
}
watch();
document.addEventListener('visibilitychange', () => { if (!document.hidden && session.status) session.look(); });
