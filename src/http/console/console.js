// The operator's console. It only reads.
//
// The token is in this module's memory and nowhere else, and goes to this server alone. Names and
// commands are written by hostile code: they become text (`append`), never HTML, and pass through
// `visible` first.

import { duration, size, visible } from './text.js';

/** Milliseconds between two looks at what is live, and at what changes slowly. */
const [LIVE, SLOW] = [2_000, 60_000];
/** Characters of one text at most: a command is shown by its beginning. */
const LONGEST = 160;

const $ = (id) => document.getElementById(id);

let token = '';
/** Ends the looks of a session. */
let session = new AbortController();

function make(tag, properties, ...content) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...content);
  return element;
}

/** The beginning of a text, which turns the direction of nothing around it. */
function named(text) {
  const shown = [...visible(text)];
  const cut = shown.length > LONGEST ? [...shown.slice(0, LONGEST), '…'] : shown;
  return make('bdi', {}, cut.join(''));
}

const code = (text) => make('code', {}, named(text));
const row = (...cells) => make('tr', {}, ...cells.map((cell) => make('td', {}, cell)));
const known = (value, show) => (value === null || value === undefined ? '–' : show(value));
const ago = (time) => `${duration(Math.max(0, (Date.now() - Date.parse(time)) / 1000))} ago`;
const whose = (entry) => {
  const issuer = make('span', { className: 'hint' }, ' of ', named(entry.issuer));
  return make('span', {}, named(entry.user), issuer);
};

function fill(id, rows) {
  $(id).replaceChildren(...rows);
  $(`no-${id}`).hidden = rows.length > 0;
}

/** What is wrong now, by what was asked for. */
const problems = new Map();

function complain(what, text) {
  problems.set(what, text);
  const all = [...new Set(problems.values())].filter(Boolean).join(' ');
  if ($('error').textContent !== all) $('error').textContent = all;
  $('error').hidden = !all;
}

/** An answer as JSON; null when the session is over. */
async function ask(what) {
  const { signal } = session;
  const headers = { authorization: `Bearer ${token}` };
  const settings = { headers, signal, cache: 'no-store', credentials: 'omit', referrerPolicy: 'no-referrer' };
  try {
    const answer = await fetch(`/console/api/${what}`, settings);
    if (answer.status === 401) {
      leave('This token is not known.');
      return null;
    }
    if (!answer.ok) throw new Error(`The server answered ${answer.status}.`);
    const said = await answer.json();
    if (signal.aborted) return null;
    complain(what, said.problem ?? '');
    return said;
  } catch (error) {
    if (signal.aborted) return null;
    complain(what, error instanceof TypeError ? 'The server cannot be reached.' : error.message);
    return undefined;
  }
}

const egress = (use) => `${use.open_connections} open, ${size(use.sent_bytes + use.received_bytes)}`;

function command(one) {
  const state = one.background ? 'background' : 'running';
  const text = one.text === undefined ? 'unknown' : code(one.text);
  const rest = ` ${state} for ${duration(one.running_seconds)}, pid ${known(one.pid, String)}, id `;
  return make('li', {}, text, rest, code(one.id));
}

function sandbox(one) {
  return row(
    whose(one),
    known(one.workspace, named),
    one.idle_seconds === null ? `${one.state}, does not answer` : one.state,
    duration(one.age_seconds),
    known(one.idle_seconds, duration),
    known(one.cpu_ms, (time) => `${(time / 1000).toFixed(1)} s`),
    known(one.memory_bytes, size),
    known(one.egress, egress),
    make('ul', {}, ...one.commands.map(command)),
  );
}

const denial = (one) => row(
  ago(one.time),
  whose(one),
  named(one.port === null ? one.host : `${one.host}:${one.port}`),
  named(one.reason),
  String(one.count),
);

function showLive(said) {
  if (said.sandboxes) fill('sandboxes', said.sandboxes.map(sandbox));
  fill('denials', said.denials.map(denial));
  $('user').textContent = `instance ${visible(said.instance)}, version ${said.version}`;
  $('server').replaceChildren(...said.counters.flatMap(({ name, value, unit }) => {
    const shown = unit === 'bytes' ? size(value) : String(value);
    return [make('dt', {}, name), make('dd', {}, shown)];
  }));
}

const workspace = (one) => row(
  whose(one),
  known(one.name, named),
  known(one.created, (time) => ago(time)),
  known(one.newest_backup, ago),
  one.held ? 'yes' : 'no',
);

function showSlow(said) {
  if (said.workspaces) fill('workspaces', said.workspaces.map(workspace));
}

/** A text of the doctor, whole. */
const whole = (text) => make('bdi', {}, visible(text));

function finding(one) {
  const parts = [make('strong', {}, one.level), whole(`${one.check}: ${one.found}`)];
  if (one.mend) parts.push(make('p', { className: 'hint' }, whole(one.mend)));
  return make('li', { className: one.level }, ...parts);
}

/** Looks again and again until the session is over. */
async function watch(what, show, pause) {
  const { signal } = session;
  while (!signal.aborted) {
    // A tab that is not seen asks for nothing.
    const said = document.hidden ? undefined : await ask(what);
    if (said === null) return;
    if (said) show(said);
    await new Promise((done) => {
      const timer = setTimeout(done, pause);
      signal.addEventListener('abort', () => { clearTimeout(timer); done(); }, { once: true });
    });
  }
}

async function examine() {
  $('examine').disabled = true;
  $('examined').textContent = 'Examining…';
  const said = await ask('doctor');
  $('examine').disabled = false;
  if (!said) {
    $('examined').textContent = '';
    return;
  }
  $('findings').replaceChildren(...said.findings.map(finding));
  $('examined').textContent = `${said.findings.length} findings, ${ago(said.time)}.`;
}

function leave(why) {
  token = '';
  session.abort();
  for (const id of ['sandboxes', 'denials', 'workspaces']) {
    fill(id, []);
    $(`no-${id}`).hidden = true;
  }
  for (const id of ['server', 'findings']) $(id).replaceChildren();
  problems.clear();
  complain('', '');
  $('console').hidden = true;
  $('who').hidden = true;
  $('sign-in').hidden = false;
  $('refused').textContent = why;
  $('refused').hidden = !why;
  $('token').focus();
}

async function enter() {
  session = new AbortController();
  const said = await ask('live');
  if (!said) return;
  $('refused').hidden = true;
  $('sign-in').hidden = true;
  $('console').hidden = false;
  $('who').hidden = false;
  showLive(said);
  $('sandboxes-title').focus();
  watch('live', showLive, LIVE);
  watch('workspaces', showSlow, SLOW);
}

$('sign-in').addEventListener('submit', (event) => {
  event.preventDefault();
  token = $('token').value.trim();
  $('token').value = '';
  enter();
});
$('sign-out').addEventListener('click', () => leave(''));
$('examine').addEventListener('click', examine);
