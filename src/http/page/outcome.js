// How a command is, in words. Pure functions.

import { duration, instant } from './text.js';

/** Whether nothing of it runs any more. */
export const isOver = ({ state }) => state === 'ended';

/** How a command is, in a word for its colour. */
export function tone({ state, outcome, exit_code: code }) {
  if (state !== 'ended') return 'runs';
  if (outcome === null || outcome === 'cancelled') return 'neutral';
  return outcome === 'exited' && code === 0 ? 'good' : 'bad';
}

const ENDS = {
  signaled: 'ended by a signal',
  timed_out: 'killed at its timeout',
  cancelled: 'stopped',
  out_of_memory: 'out of memory',
  sandbox_lost: 'lost with its sandbox',
};

/** A time that is short most often. */
function brief(ms) {
  if (ms < 1000) return `${ms} ms`;
  return ms < 10_000 ? `${(ms / 1000).toFixed(1)} s` : duration(Math.floor(ms / 1000));
}

/** How it is, in words; how long it has run is counted here. */
export function told({ state, outcome, exit_code: code, duration_ms: ran, started_at: started }) {
  const since = duration(Math.max(0, Math.floor((Date.now() - new Date(started)) / 1000)));
  if (state === 'running') return `running · ${since}`;
  if (state === 'background') return `in background · ${since}`;
  const end = outcome === 'exited' ? (code === 0 ? '' : `exit code ${code}`) : (ENDS[outcome] ?? 'ended');
  return [end, ran === null ? '' : brief(ran), instant(started)[1]].filter(Boolean).join(' · ');
}
