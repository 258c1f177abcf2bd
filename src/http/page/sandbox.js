// The sandbox beside the files: how it is, and what it may use.

import { $, facts, make } from './dom.js';
import { session } from './session.js';
import { duration, size } from './text.js';

function show() {
  const { status } = session;
  facts('facts', state(status));
  facts('limits', limits(status.limits));
}

/** Of several containers, as ephemeral mode has them, memory and CPU time are those of all. */
function state({ mode, state, containers, memory_bytes: memory, cpu_ms: cpu, processes, limits }) {
  const pairs = [['Mode', mode], ['State', state === 'absent' ? 'not running' : state]];
  if (containers > 1) pairs.push(['Containers', `${containers}`]);
  if (memory === null) return pairs;
  const most = limits.memory_bytes * Math.max(1, containers);
  const meter = make('meter', { max: most, high: 0.9 * most, value: memory, ariaLabel: 'Memory used' });
  return [...pairs,
    ['Processes', `${processes}`],
    ['CPU time', `${(cpu / 1000).toFixed(1)} s`],
    ['Memory', `${size(memory)} of ${size(most)}`],
    ['', meter]];
}

function limits(limits) {
  return [
    ['Memory', size(limits.memory_bytes)],
    ['CPUs', limits.cpus],
    ['Processes', `${limits.processes}`],
    ['One upload', size(limits.upload_bytes)],
    ['Calls at once', `${limits.calls_at_once}`],
    ['Ends when idle', `after ${duration(limits.idle_seconds)}`],
  ];
}

session.addEventListener('enter', show);
session.addEventListener('status', show);
session.addEventListener('lost', () => {
  if (!session.status) return;
  facts('facts', [['State', 'unknown']]);
});
session.addEventListener('leave', () => {
  for (const id of ['facts', 'limits']) $(id).replaceChildren();
});
