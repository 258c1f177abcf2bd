// Which of the user's workspaces is shown: a list to choose from, where there are several.

import { data } from './api.js';
import { $, complain, make } from './dom.js';
import { session } from './session.js';
import { visible } from './text.js';

/** The header that names a workspace, as the server says it. */
let header = '';
/** Counts listings: the answer to an old question is not shown. */
let asked = 0;

async function list() {
  const question = (asked += 1);
  try {
    const answer = await data('/workspaces');
    if (question !== asked) return;
    ({ header } = answer);
    show(answer.workspaces.map(({ name }) => name));
  } catch {
    // Whatever it is, the list of files says it.
    if (question === asked) show([]);
  }
}

/** The user's own workspace has no name, and stands as ''. */
function show(names) {
  const current = session.status?.workspace ?? null;
  const known = names.includes(current) ? names : [...names, current];
  $('workspace-name').replaceChildren(...known.map((name) =>
    make('option', { value: name ?? '' }, name === null ? 'your own' : visible(name))));
  $('workspace-name').value = current ?? '';
  $('choose-workspace').hidden = known.length < 2;
}

$('workspace-name').addEventListener('change', async ({ target }) => {
  const current = session.status?.workspace ?? '';
  if (target.value === current) return;
  // A transfer belongs to the workspace in which it began.
  if ($('transfers').childElementCount > 0 || !$('waiting').hidden) {
    target.value = current;
    complain('Wait until the transfers have ended, or cancel them; then choose another workspace.');
    return;
  }
  complain('');
  history.replaceState(null, '', location.pathname);
  await session.change(target.value, header);
});

session.addEventListener('enter', list);
session.addEventListener('leave', () => {
  asked += 1;
  $('workspace-name').replaceChildren();
  $('choose-workspace').hidden = true;
});
$('refresh').addEventListener('click', list);
