// Requests to the server, and its refusals as sentences.
//
// A token is in this module's memory and nowhere else: no storage, no address, and it goes to
// this server alone. A session is in a cookie that no script sees; the server takes it with the
// header of `credential` alone, which no other site's page can send.

import { sentence } from './text.js';

let token = '';

/** From now on requests carry this token; '' is none. */
export const useToken = (given) => { token = given; };

/** Whether requests carry one. */
export const hasToken = () => token !== '';

/** The header and the name of the workspace that requests are for; no name: the user's own. */
let workspace = { header: '', name: '' };

/** From now on requests are for this workspace; '' is the user's own. */
export const useWorkspace = (name, header = '') => { workspace = { header, name }; };

/** Whether requests name one. */
export const hasWorkspace = () => workspace.name !== '';

/** A name as its bytes in UTF-8: a header's value takes no other characters. */
const inBytes = (name) => String.fromCharCode(...new TextEncoder().encode(name));

/** The headers that say whose a request is, and for which workspace. */
export const credential = () => ({
  'x-casemate-page': '1',
  ...(token ? { authorization: `Bearer ${token}` } : {}),
  ...(hasWorkspace() ? { [workspace.header]: inBytes(workspace.name) } : {}),
});

/** What was not done, and why: the message is for people. Status 0: there was no answer. */
export class Refused extends Error {
  constructor(status, message, code = '') {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** For an answer without a reason: one of a proxy that stands before the server. */
const BARE = {
  413: 'It is larger than is let through.',
  429: 'Too much is asked at once. Try again in a moment.',
  502: 'The server cannot be reached. Try again in a minute.',
  503: 'The server is busy. Try again in a minute.',
  504: 'The server does not answer. Try again in a minute.',
  507: 'There is no space left.',
};

/** For people, where the server's own sentence is for programs. */
const PLAIN = {
  insufficient_scope: 'This token may not see files. Sign in with one that has the scope “files”.',
};

/** A refusal, from any of the shapes that the server's layers have. */
export function refusal(status, text) {
  let said = {};
  try {
    said = JSON.parse(text) ?? {};
  } catch { /* A proxy's page: its status says enough. */ }
  const code = said.error?.code ?? said.error ?? '';
  const reason = said.error?.message ?? said.message ?? said.error_description;
  const plain = /\bfiles\b/.test(reason ?? '') ? PLAIN[code] : undefined;
  const message = plain ?? reason ?? BARE[status] ?? `The server answered ${status}`;
  return new Refused(status, sentence(String(message)), code);
}

/** The answer to a request that was granted. Throws `Refused`, or an abort as it is. */
export async function request(path, options = {}) {
  const headers = { ...credential(), ...options.headers };
  const settings = { ...options, headers, credentials: 'same-origin', cache: 'no-store', referrerPolicy: 'no-referrer' };
  let answer;
  try {
    answer = await fetch(path, settings);
  } catch (error) {
    throw error.name === 'AbortError' ? error : new Refused(0, 'The server cannot be reached.');
  }
  if (!answer.ok && answer.status !== 304) throw refusal(answer.status, await answer.text().catch(() => ''));
  return answer;
}

/** Asks for a change that this object describes. */
export const post = (path, body) =>
  data(path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });

/** What an answer in JSON holds. */
export async function data(path, options) {
  const answer = await request(path, options);
  try {
    return (await answer.json()).data;
  } catch {
    throw new Refused(0, 'The connection to the server broke.');
  }
}
