// The commands: those that run, each with a way to end it, and what was run before them.
//
// Their text was written by a model, or by whoever wrote what it read: it is hostile, and becomes text.

import { request } from './api.js';
import { harmless } from './content.js';
import { agree } from './dialogs.js';
import { $, button, make, say } from './dom.js';
import { list } from './listing.js';
import { isOver, told, tone } from './outcome.js';
import { session } from './session.js';
import { size, visible } from './text.js';

/** Of the ended ones, how many are shown at first. */
const FIRST = 8;
/** Of a text, on the line that stands for it. */
const LINE_CHARS = 120;

/** What the server said last, by its tag: it answers no more than that it is the same. */
let tag = '';
let commands = [];
let isAll = false;
/** The ids of those whose text is open, so that a new list leaves it open. */
const open = new Set();
/** Counts questions: the answer to an old one is not shown. */
let asked = 0;

async function look() {
  const question = (asked += 1);
  try {
    const answer = await request('/commands', { headers: tag ? { 'if-none-match': tag } : {} });
    if (answer.status === 304 || question !== asked) return tell();
    const { data } = await answer.json();
    if (question !== asked) return;
    const before = new Set(commands.filter(isOver).map(({ id }) => id));
    const ended = tag !== '' && data.commands.some((one) => isOver(one) && !before.has(one.id));
    ({ commands } = data);
    tag = answer.headers.get('etag') ?? '';
    show();
    // What it made is there now.
    if (ended) await list(true);
  } catch (error) {
    if (question === asked) showNone(error.code === 'insufficient_scope' ? error.message : 'Unknown.');
  }
}

function show() {
  const running = commands.filter((command) => !isOver(command));
  const over = commands.filter(isOver);
  const some = isAll ? over : over.slice(0, FIRST);
  replace($('commands'), running.map(line));
  replace($('log'), some.map(line));
  $('no-commands').hidden = running.length > 0;
  $('no-commands').textContent = 'None is running.';
  $('log-part').hidden = over.length === 0;
  $('more-log').hidden = some.length === over.length;
  $('more-log').textContent = `Show all ${over.length}`;
  tell();
}

function showNone(why) {
  [tag, commands] = ['', []];
  for (const id of ['commands', 'log']) $(id).replaceChildren();
  $('no-commands').hidden = false;
  $('no-commands').textContent = why;
  $('log-part').hidden = true;
}

/** A list that comes anew leaves the keyboard where it was. */
function replace(element, lines) {
  const before = document.activeElement;
  const held = element.contains(before) ? before.dataset.of : null;
  const { scrollTop } = before;
  element.replaceChildren(...lines);
  if (!held) return;
  const after = element.querySelector(`[data-of="${CSS.escape(held)}"]`) ?? $('sandbox-title');
  after.focus();
  after.scrollTop = scrollTop;
}

function line(command) {
  const { id, text, text_bytes: bytes } = command;
  const first = text === null ? 'Run by another server' : (text.trim().split('\n', 1)[0] || ' ');
  const title = make('code', {}, visible(first.slice(0, LINE_CHARS)));
  const state = make('span', { className: 'state' });
  const all = make('pre', { tabIndex: 0, ariaLabel: 'The command', role: 'group' }, harmless(text ?? ''));
  all.dataset.of = `all ${id}`;
  const isCut = text !== null && new TextEncoder().encode(text).length < bytes;
  const rest = isCut ? [make('p', { className: 'hint' }, `The beginning of ${size(bytes)}.`)] : [];
  const summary = make('summary', {}, title, state);
  summary.dataset.of = `text ${id}`;
  const details = make('details', { open: open.has(id) }, summary, all, ...rest);
  details.addEventListener('toggle', () => { if (details.open) open.add(id); else open.delete(id); });
  const item = make('li', { className: tone(command) }, details);
  // What it left in the background has no way to be ended from here.
  if (command.state === 'running') {
    const stop = button('Stop', first.slice(0, LINE_CHARS), () => finish(command, stop));
    stop.dataset.of = `stop ${id}`;
    item.append(stop);
  }
  item.command = command;
  return item;
}

function tell() {
  for (const item of document.querySelectorAll('#commands li, #log li')) {
    item.querySelector('.state').textContent = told(item.command);
  }
}

async function finish({ id }, stop) {
  if (!(await agree('Stop this command, with everything it started?', 'Stop'))) return;
  stop.disabled = true;
  try {
    await request(`/commands/${encodeURIComponent(id)}`, { method: 'DELETE' });
    say('The command is stopped.');
  } catch (error) {
    session.fail(error, 'The command was not stopped.');
  }
  await look();
}

$('more-log').addEventListener('click', () => {
  isAll = true;
  show();
  $('log').querySelector(`li:nth-child(${FIRST + 1}) summary`)?.focus();
});

session.addEventListener('enter', look);
session.addEventListener('status', look);
session.addEventListener('lost', () => { if (session.status) showNone('Unknown.'); });
session.addEventListener('leave', () => {
  asked += 1;
  isAll = false;
  open.clear();
  showNone('');
});
