// Files on their way out, byte for byte; a folder as a tar archive.

import { Refused, hasWorkspace, request } from './api.js';
import { make, say } from './dom.js';
import { session } from './session.js';
import { quoted, size, visible } from './text.js';
import { transfer } from './transfers.js';

/** Bytes of a download that the page may hold, where the browser cannot write to disk. */
const HELD = 1024 ** 3;
/** From this size on a download goes to disk as it comes, where the browser can do that. */
const STREAMED = 32 * 1024 ** 2;
/** Milliseconds in which a browser has long begun to read what it was told to save. */
const BEGUN = 60_000;

/** Downloads what is at an address: an entry of a listing. */
export async function download(address, entry) {
  const name = entry.is_dir ? `${entry.filename}.tar` : entry.filename;
  // Where nobody signs in, the browser can ask by itself, and streams; but it names no workspace.
  if (!session.isSignedIn && !hasWorkspace()) return save(address, name);
  try {
    await fetched(address, name, entry);
    say(`Downloaded ${visible(name)}.`);
  } catch (error) {
    session.fail(error, `${quoted(name)} was not downloaded.`);
  }
}

/** A link has neither a token nor the page's header: the page itself writes to disk, or holds all of it. */
async function fetched(address, name, { is_dir: isFolder, size: bytes }) {
  // Of a file in a pane the size is not known: nobody reads one of gigabytes there.
  const total = isFolder ? null : bytes;
  const toDisk = 'showSaveFilePicker' in window && (isFolder || total > STREAMED);
  const file = toDisk ? await window.showSaveFilePicker({ suggestedName: name }) : null;
  const under = transfer('Downloading', name, total);
  try {
    const answer = await request(address, { signal: under.signal });
    const counted = answer.body.pipeThrough(counter(under, file ? Infinity : HELD));
    if (file) await counted.pipeTo(await file.createWritable(), { signal: under.signal });
    else saveHeld(await new Response(counted).blob(), name);
  } catch (error) {
    const isKnown = error instanceof Refused || error.name === 'AbortError';
    throw isKnown ? error : new Refused(0, 'The connection broke, or the disk is full.');
  } finally {
    under.done();
  }
}

function counter(under, most) {
  let bytes = 0;
  return new TransformStream({
    transform(chunk, out) {
      bytes += chunk.byteLength;
      if (bytes > most) throw new Refused(0, `It is larger than the ${size(most)} that this browser can hold; download it with curl and your token from /files/download/.`);
      under.report(bytes);
      out.enqueue(chunk);
    },
  });
}

function saveHeld(blob, name) {
  const address = URL.createObjectURL(blob);
  save(address, name);
  setTimeout(() => URL.revokeObjectURL(address), BEGUN);
}

/** Has the browser save what the address leads to. */
function save(address, name) {
  const link = make('a', { href: address, download: name, hidden: true });
  document.body.append(link);
  link.click();
  link.remove();
}
