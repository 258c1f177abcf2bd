// Files on their way into the folder that is shown, one after the other.

import { $ } from './dom.js';
import { folder, list } from './listing.js';
import { askAbout, isArchive, sendArchive, sendFile } from './send.js';
import { session } from './session.js';
import { onFiles } from './sources.js';
import { showWaiting } from './transfers.js';
import { quoted } from './text.js';

/** Milliseconds between two looks at the folder while many small files go into it. */
const LOOK_AGAIN = 2000;

/** Together they would take no less time, and each asks for itself. */
let queue = Promise.resolve();
let waiting = 0;
/** Counts cancellations: what was given before one does not begin any more. */
let cancelled = 0;
let listed = 0;

function upload(items) {
  const batch = { files: items.length, replacesAll: false, cancelled };
  const [into, owner] = [folder(), session.status];
  waiting += items.length;
  for (const item of items) {
    queue = queue.then(async () => {
      waiting -= 1;
      // Who signed in meanwhile is not whose files these are.
      if (!session.isOf(owner) || batch.cancelled !== cancelled) return showWaiting(session.status ? waiting : 0);
      showWaiting(waiting);
      try {
        await uploadOne(item, into, batch);
      } catch (error) {
        session.fail(error, `${quoted(item.path)} was not uploaded.`);
      }
      await show(into);
    });
  }
}

/** A file in a folder that is uploaded is kept as it is. */
async function uploadOne({ file, path }, into, batch) {
  const answer = isArchive(path) && path === file.name ? await askAbout(path) : 'keep';
  if (answer === 'keep') await sendFile(file, path, into, batch);
  else if (answer === 'unpack') await sendArchive(file, into);
}

async function show(into) {
  if (!session.status || folder() !== into) return;
  if (waiting > 0 && Date.now() - listed < LOOK_AGAIN) return;
  await list();
  listed = Date.now();
}

$('cancel-waiting').addEventListener('click', () => {
  cancelled += 1;
  $('files-title').focus();
});

onFiles(upload);
