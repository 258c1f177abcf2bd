// The page for people: sign in, see and change the files, see the sandbox.
//
// - The token is in this module's memory and nowhere else.
// - Names come from whoever wrote into the workspace, and are hostile: they become text
//   (`textContent`), never HTML, and what hides or reorders characters is spelled out.

/** Bytes of a download that a page may hold, where the browser cannot write to disk. */
const HELD = 1024 ** 3;
/** From this size on a download goes to disk as it comes, where the browser can do that. */
const STREAMED = 32 * 1024 ** 2;
/** Milliseconds between two looks at the sandbox. */
const LOOK_AGAIN = 5000;

const $ = (id) => document.getElementById(id);
let token = '';
let here = '';
let status = null;
/** The pages up to this one: where each begins, and how many entries are before it. */
let pages = [{ cursor: '', before: 0 }];
/** Where the page after this one begins. */
let next = null;
/** Counts listings: the answer to an old question is not shown. */
let asked = 0;

// --- Requests -----------------------------------------------------------------------------------

class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

const credential = () => (token ? { authorization: `Bearer ${token}` } : {});

/** A refusal as a sentence, from any of the shapes that the server's layers have. */
function refusal(status, text) {
  let error = {};
  try {
    error = JSON.parse(text);
  } catch { /* A proxy's page: its status says enough. */ }
  const message = error.error?.message ?? error.message ?? error.error_description;
  return new Refused(status, message ?? `The server answered ${status}.`);
}

async function request(path, options = {}) {
  const headers = { ...credential(), ...options.headers };
  const settings = { ...options, headers, credentials: 'omit', cache: 'no-store', referrerPolicy: 'no-referrer' };
  let answer;
  try {
    answer = await fetch(path, settings);
  } catch (error) {
    throw error.name === 'AbortError' ? error : new Refused(0, 'The server cannot be reached.');
  }
  if (!answer.ok) throw refusal(answer.status, await answer.text());
  return answer;
}

const data = async (path, options) => (await (await request(path, options)).json()).data;
const below = (route, path) => `/files/${route}/${path.split('/').map(encodeURIComponent).join('/')}`;
const join = (folder, name) => (folder ? `${folder}/${name}` : name);

// --- Text ---------------------------------------------------------------------------------------

/** Controls, invisible characters and those that turn the direction, spelled out. */
const visible = (name) =>
  name.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, (c) => `\\u{${c.codePointAt(0).toString(16)}}`);

function size(bytes) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let at = 0;
  for (; bytes >= 1024 && at < units.length - 1; at += 1) bytes /= 1024;
  return `${bytes.toFixed(at && bytes < 10 ? 1 : 0)} ${units[at]}`;
}

function duration(seconds) {
  const parts = [[86400, 'd'], [3600, 'h'], [60, 'min'], [1, 's']];
  const spelled = [];
  for (const [length, unit] of parts) {
    if (seconds >= length) spelled.push(`${Math.floor(seconds / length)} ${unit}`);
    seconds %= length;
  }
  return spelled.slice(0, 2).join(' ') || '0 s';
}

const instant = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' });

/** An element with these properties and this content. */
function make(tag, properties, ...content) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...content);
  return element;
}

const named = (name) => make('bdi', {}, visible(name));

function icon(kind) {
  const name = 'http://www.w3.org/2000/svg';
  const [svg, use] = [document.createElementNS(name, 'svg'), document.createElementNS(name, 'use')];
  svg.setAttribute('class', kind);
  svg.setAttribute('aria-hidden', 'true');
  use.setAttribute('href', `#icon-${kind}`);
  svg.append(use);
  return svg;
}

const say = (text) => { $('said').textContent = text; };

function fail(error) {
  if (error.name === 'AbortError') return;
  if (error.status === 401) {
    signOut(token ? `Sign in again. ${error.message}` : '');
    return;
  }
  complain(error.message);
}

function complain(text) {
  $('error').firstElementChild.textContent = text;
  $('error').hidden = !text;
}

// --- Signing in ---------------------------------------------------------------------------------

/** Also finds out whether a token is needed at all. */
async function enter() {
  status = await data('/status');
  $('sign-in').hidden = true;
  $('workspace').hidden = false;
  $('who').hidden = false;
  $('user').replaceChildren(named(status.user));
  $('sign-out').hidden = !token;
  complain('');
  showStatus();
  await open();
}

function signOut(why) {
  token = '';
  status = null;
  asked += 1;
  for (const end of ends) end.abort();
  for (const id of ['rows', 'crumbs', 'facts', 'limits', 'commands', 'user', 'transfers']) $(id).replaceChildren();
  for (const id of ['workspace', 'who']) $(id).hidden = true;
  if ($('ask').open) $('ask').close('no');
  $('sign-in').hidden = false;
  $('token').focus();
  complain(why);
}

$('sign-in').querySelector('form').addEventListener('submit', async (event) => {
  event.preventDefault();
  token = $('token').value.trim();
  $('token').value = '';
  try {
    await enter();
    $('files-title').focus();
    say('Signed in.');
  } catch (error) {
    signOut(error.message);
  }
});
$('sign-out').addEventListener('click', () => signOut(''));
$('error').querySelector('button').addEventListener('click', () => complain(''));

// --- The listing --------------------------------------------------------------------------------

const linkTo = (path) => `#/${path.split('/').map(encodeURIComponent).join('/')}`;

/** Shows the folder that the address names, from its first page. */
async function open() {
  try {
    here = location.hash.replace(/^#\/?/, '').split('/').map(decodeURIComponent).filter(Boolean).join('/');
  } catch {
    here = '';
  }
  pages = [{ cursor: '', before: 0 }];
  await list();
}

async function list() {
  const question = (asked += 1);
  const folder = here;
  const query = new URLSearchParams({ path: folder, cursor: pages.at(-1).cursor });
  $('drop').ariaBusy = 'true';
  try {
    const page = await data(`/files/list?${query}`);
    if (question === asked) show(folder, page);
  } catch (error) {
    if (question !== asked) return;
    show(folder, { files: [], total: 0, next_cursor: null });
    $('empty').textContent = 'This folder cannot be shown.';
    fail(error);
  } finally {
    $('drop').ariaBusy = 'false';
  }
}

function show(folder, page) {
  const names = folder ? folder.split('/') : [];
  const crumb = (name, at) => {
    const last = at === names.length - 1;
    const link = make('a', { href: linkTo(names.slice(0, at + 1).join('/')) }, named(name));
    if (last) link.ariaCurrent = 'page';
    return make('li', {}, link);
  };
  const top = make('a', { href: '#/' }, 'workspace');
  $('crumbs').replaceChildren(make('li', {}, top), ...names.map(crumb));
  replaceRows(page.files.map((entry) => row(folder, entry)));
  $('empty').hidden = page.files.length > 0;
  $('empty').textContent = 'This folder is empty.';
  next = page.next_cursor;
  $('pages').hidden = !next && pages.length === 1;
  $('previous').disabled = pages.length === 1;
  $('next').disabled = !next;
  const total = page.total ?? 'many';
  const { before } = pages.at(-1);
  $('page').textContent = `${before + 1}–${before + page.files.length} of ${total}`;
  say(`${total} entries in ${visible(folder) || 'the workspace'}.`);
}

/** A list that comes anew leaves the keyboard where it was. */
function replaceRows(rows) {
  const before = document.activeElement;
  const held = $('rows').contains(before);
  $('rows').replaceChildren(...rows);
  if (!held) return;
  const controls = [...$('rows').querySelectorAll('a, button')];
  const same = controls.find((one) => one.ariaLabel === before.ariaLabel && one.textContent === before.textContent);
  (same ?? $('files-title')).focus();
}

function row(folder, entry) {
  const path = join(folder, entry.filename);
  const name = named(entry.filename);
  const action = (text, act) => {
    const button = make('button', { type: 'button', ariaLabel: `${text} ${visible(entry.filename)}` }, text);
    button.addEventListener('click', act);
    return button;
  };
  return make('tr', {},
    make('td', { className: 'name' },
      icon(entry.is_dir ? 'folder' : 'file'),
      entry.is_dir ? make('a', { href: linkTo(path) }, name) : name),
    make('td', { className: 'number' }, entry.is_dir ? '' : size(entry.size)),
    make('td', { className: 'date' }, instant.format(new Date(entry.modified))),
    make('td', {}, make('div', { className: 'actions' },
      action('Download', () => download(path, entry)),
      action('Delete', () => remove(path, entry)))));
}

$('next').addEventListener('click', () => {
  pages.push({ cursor: next, before: pages.at(-1).before + $('rows').children.length });
  turn(list);
});
$('previous').addEventListener('click', () => {
  pages.pop();
  turn(list);
});
async function turn(to) {
  await to();
  $('files-title').focus();
}
$('refresh').addEventListener('click', () => { list(); look(); });
$('all').addEventListener('click', () => download(here, { filename: here.split('/').pop() || 'workspace', is_dir: true }));
addEventListener('hashchange', () => { if (status) turn(open); });

// --- Deleting -----------------------------------------------------------------------------------

/** One question at a time. */
let asking = Promise.resolve();

/** Whether the person agrees; Escape and a hasty Enter do not. */
function agree(question, verb) {
  const answer = asking.then(() => answerTo(question, verb));
  asking = answer;
  return answer;
}

function answerTo(question, verb) {
  const ask = $('ask');
  const [no, yes] = ask.querySelectorAll('button');
  $('question').textContent = question;
  yes.textContent = verb;
  ask.returnValue = 'no';
  ask.showModal();
  no.focus();
  return new Promise((resolve) => {
    ask.addEventListener('close', () => resolve(ask.returnValue === 'yes'), { once: true });
  });
}
for (const button of $('ask').querySelectorAll('button')) {
  button.addEventListener('click', () => $('ask').close(button.value));
}

async function remove(path, entry) {
  const name = `“\u2068${visible(entry.filename)}\u2069”`;
  const what = entry.is_dir ? `the folder ${name} and everything in it` : name;
  if (!(await agree(`Delete ${what}? This cannot be undone.`, 'Delete'))) return;
  try {
    await request(below('content', path) + (entry.is_dir ? '?recursive=true' : ''), { method: 'DELETE' });
    await list();
    say(`Deleted ${visible(entry.filename)}.`);
    $('files-title').focus();
  } catch (error) {
    fail(error);
  }
}

// --- Transfers ----------------------------------------------------------------------------------

/** What ends each transfer that is under way. */
const ends = new Set();

/** A line with a bar. `report` takes the bytes so far; `total` is null where it is unknown. */
function transfer(verb, name, total) {
  const end = new AbortController();
  const bar = make('progress', { ariaLabel: `${verb} ${visible(name)}` });
  if (total !== null) Object.assign(bar, { max: total || 1, value: 0 });
  const amount = make('span', {});
  const cancel = make('button', { type: 'button', ariaLabel: `Cancel ${visible(name)}` }, 'Cancel');
  cancel.addEventListener('click', () => end.abort());
  const line = make('li', {}, make('bdi', {}, `${verb} ${visible(name)}`), amount, cancel, bar);
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
      if (reached > quarter && reached < 4) say(`${verb} ${visible(name)}: ${25 * reached} %.`);
      quarter = reached;
    },
    done() {
      ends.delete(end);
      line.remove();
    },
  };
}

/** Sends a file: fetch does not say how much of a body has left, so this is the older API. */
function send(file, path, replace, under) {
  return new Promise((resolve, reject) => {
    const sending = new XMLHttpRequest();
    const aborted = () => reject(new DOMException('', 'AbortError'));
    sending.open('PUT', below('content', path));
    for (const [name, value] of Object.entries(credential())) sending.setRequestHeader(name, value);
    if (!replace) sending.setRequestHeader('If-None-Match', '*');
    sending.upload.addEventListener('progress', (event) => under.report(event.loaded));
    sending.addEventListener('load', () =>
      (sending.status < 300 ? resolve() : reject(refusal(sending.status, sending.responseText))));
    sending.addEventListener('error', () => reject(new Refused(0, `“${visible(file.name)}” did not arrive: the connection broke, or the file cannot be read.`)));
    sending.addEventListener('abort', aborted);
    under.signal.addEventListener('abort', () => sending.abort());
    sending.send(file);
  });
}

async function uploadOne(file, folder) {
  const limit = status.limits.upload_bytes;
  if (file.size > limit) throw new Refused(413, `“${visible(file.name)}” has ${size(file.size)}; an upload may have ${size(limit)}.`);
  const path = join(folder, file.name);
  for (const replace of [false, true]) {
    const under = transfer('Uploading', file.name, file.size);
    try {
      await send(file, path, replace, under);
      say(`Uploaded ${visible(file.name)}.`);
      return;
    } catch (error) {
      if (replace || error.status !== 412) throw error;
    } finally {
      under.done();
    }
    if (!(await agree(`“\u2068${visible(file.name)}\u2069” is there already. Replace it?`, 'Replace'))) return;
  }
}

/** One after the other: together they would take no less time, and each asks for itself. */
let queue = Promise.resolve();
function upload(files) {
  const folder = here;
  const owner = status;
  for (const file of files) {
    queue = queue.then(async () => {
      // Who signed in meanwhile is not whose files these are.
      if (status?.user !== owner.user || status?.issuer !== owner.issuer) return;
      try {
        await uploadOne(file, folder);
      } catch (error) {
        fail(error);
      }
      if (status && here === folder) await list();
    });
  }
}

$('choose').addEventListener('click', () => $('chosen').click());
$('chosen').addEventListener('change', () => {
  upload([...$('chosen').files]);
  $('chosen').value = '';
});

const carriesFiles = (event) => status && event.dataTransfer?.types.includes('Files');
addEventListener('dragover', (event) => {
  if (!carriesFiles(event)) return;
  event.preventDefault();
  document.body.classList.add('dropping');
});
addEventListener('dragleave', (event) => { if (!event.relatedTarget) document.body.classList.remove('dropping'); });
addEventListener('drop', (event) => {
  document.body.classList.remove('dropping');
  if (!carriesFiles(event)) return;
  event.preventDefault();
  const items = [...event.dataTransfer.items].filter((item) => item.kind === 'file');
  const isFolder = (item) => item.webkitGetAsEntry?.()?.isDirectory;
  if (items.some(isFolder)) complain('A folder cannot be dropped here; drop the files in it, or upload an archive.');
  upload(items.filter((item) => !isFolder(item)).map((item) => item.getAsFile()).filter(Boolean));
});

/** Has the browser save what the address leads to. */
function save(address, name) {
  const link = make('a', { href: address, download: name, hidden: true });
  document.body.append(link);
  link.click();
  link.remove();
}

async function download(path, entry) {
  const name = entry.is_dir ? `${entry.filename}.tar` : entry.filename;
  const address = below('download', path);
  // Without a token the browser can ask by itself, and streams.
  if (!token) return save(address, name);
  const total = entry.is_dir ? null : entry.size;
  try {
    // A link cannot carry a token: the page itself writes to disk, or holds all of it.
    const toDisk = 'showSaveFilePicker' in window && (total === null || total > STREAMED);
    const file = toDisk ? await window.showSaveFilePicker({ suggestedName: name }) : null;
    const under = transfer('Downloading', name, total);
    try {
      const answer = await request(address, { signal: under.signal });
      const counted = answer.body.pipeThrough(counter(under, file ? Infinity : HELD, name));
      if (file) await counted.pipeTo(await file.createWritable(), { signal: under.signal });
      else await saveHeld(await new Response(counted).blob(), name);
    } finally {
      under.done();
    }
    say(`Downloaded ${visible(name)}.`);
  } catch (error) {
    fail(error);
  }
}

function counter(under, most, name) {
  let bytes = 0;
  return new TransformStream({
    transform(chunk, out) {
      bytes += chunk.byteLength;
      if (bytes > most) throw new Refused(0, `“${visible(name)}” is larger than the ${size(most)} that this browser can hold; download it with curl and your token from /files/download/.`);
      under.report(bytes);
      out.enqueue(chunk);
    },
  });
}

function saveHeld(blob, name) {
  const address = URL.createObjectURL(blob);
  save(address, name);
  // The browser has begun to read it long before.
  setTimeout(() => URL.revokeObjectURL(address), 60000);
}

// --- The sandbox --------------------------------------------------------------------------------

async function look() {
  const of = token;
  try {
    const found = await data('/status');
    if (!status || of !== token) return;
    status = found;
    showStatus();
  } catch (error) {
    if (error.status === 401 && status && of === token) fail(error);
    else if (status) facts('facts', [['State', 'unknown']]);
  }
}

const facts = (id, pairs) => $(id).replaceChildren(...pairs.flatMap(([name, value]) =>
  (name ? [make('dt', {}, name), make('dd', {}, value)] : [make('dd', { className: 'wide' }, value)])));

function showStatus() {
  const { limits, memory_bytes: memory, processes, containers } = status;
  const running = memory !== null;
  const most = limits.memory_bytes * Math.max(1, containers);
  const meter = make('meter', { max: most, high: 0.9 * most, value: memory ?? 0, ariaLabel: 'Memory used' });
  facts('facts', [
    ['Mode', status.mode],
    ['State', status.state === 'absent' ? 'not running' : status.state],
    ...(containers > 1 ? [['Containers', `${containers}`]] : []),
    ...(running ? [
      ['Processes and threads', `${processes}`],
      ['CPU time', `${(status.cpu_ms / 1000).toFixed(1)} s`],
      ['Memory', size(memory)],
      ['', meter],
    ] : []),
  ]);
  facts('limits', [
    ['Memory', size(limits.memory_bytes)],
    ['CPUs', limits.cpus],
    ['Processes', `${limits.processes}`],
    ['One upload', size(limits.upload_bytes)],
    ['Calls at once', `${limits.calls_at_once}`],
    ['Ends when idle', duration(limits.idle_seconds)],
  ]);
  $('no-commands').hidden = status.commands.length > 0;
  $('commands').replaceChildren(...status.commands.map((command) => {
    const time = duration(Math.floor(command.running_ms / 1000));
    const id = make('code', { title: command.id }, command.id.slice(0, 8));
    return make('li', {}, id, command.background ? `in background, ${time}` : time);
  }));
}

setInterval(() => { if (status && !document.hidden) look(); }, LOOK_AGAIN);
enter().catch((error) => (error.status === 401 ? signOut('') : fail(error)));
