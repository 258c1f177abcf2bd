// Who is here, and whether the server is.
//
// Events: `enter` (somebody is in), `status` (and here is how the sandbox is now),
// `leave` (nobody is in any more; `detail` says why, '' for no reason), `lost` (the
// server does not answer as it should; `detail` says why), `back` (it does again).

import { Refused, data, hasToken, request, useToken, useWorkspace } from './api.js';
import { complain } from './dom.js';

/** Milliseconds that the server has to say how the sandbox is. */
const PATIENCE = 10_000;

const AGAIN = 'Sign in again; the page comes back where it was.';
const APPLICATION = 'This token is an application’s, which speaks for its users. Sign in with a token of your own.';

class Session extends EventTarget {
  /** What `/status` said last; null where nobody is in. */
  status = null;
  /** How somebody signs in: `none`, `token`, `bearer` or `issuer`; '' until that is known. */
  method = '';
  #lost = false;
  #signingOut = null;
  /** Counts comings and goings: the answer to an old question is not heard. */
  #visit = 0;

  /** Signs in. Throws a `Refused` that says why not. */
  async enter(token) {
    const visit = (this.#visit += 1);
    try {
      await this.#signingOut;
      const isKept = this.isExchanging && (await exchange(token));
      if (!isKept) useToken(token);
      const status = await data('/status', { signal: AbortSignal.timeout(PATIENCE) });
      if (visit === this.#visit) this.#see(status);
    } catch (error) {
      if (visit === this.#visit) useToken('');
      // All that `/status` could find wrong with the page's request: nobody is named in it.
      throw error.code === 'invalid_request' ? new Refused(error.status, APPLICATION) : error;
    }
  }

  /** Asks how the sandbox is; the first time, whether it takes a token to know. */
  async look() {
    const visit = this.#visit;
    try {
      this.method ||= (await data('/sign-in', { signal: AbortSignal.timeout(PATIENCE) })).method;
      const status = await data('/status', { signal: AbortSignal.timeout(PATIENCE) });
      if (visit === this.#visit) this.#see(status);
    } catch (error) {
      if (visit !== this.#visit) return;
      if (error.status === 401) this.leave(this.status ? this.#ended() : '');
      else if (error.code === 'insufficient_scope') this.leave(error.message);
      else this.#lose(error.message);
    }
  }

  /** Whether there is anything to sign out of. */
  get isSignedIn() {
    return hasToken() || this.method === 'token' || this.method === 'issuer';
  }

  /** Whether a token becomes a session. Over plain HTTP elsewhere than on this machine browsers keep none. */
  get isExchanging() {
    return this.method === 'token' && window.isSecureContext;
  }

  /** Signs out, and has the browser forget the session. Who signs in meanwhile waits: it would forget theirs. */
  async signOut() {
    const isInMemory = hasToken();
    this.leave();
    if (isInMemory) return;
    const kept = (error) => complain(`The session may still be in this browser. ${error.message}`);
    this.#signingOut = request('/sign-out', { method: 'POST' }).catch(kept);
    await this.#signingOut;
  }

  /** Goes to another of the user's workspaces; '' is their own. */
  async change(workspace, header) {
    this.#visit += 1;
    useWorkspace(workspace, header);
    this.status = null;
    await this.look();
  }

  leave(why = '') {
    this.#visit += 1;
    useToken('');
    useWorkspace('');
    this.status = null;
    this.#lost = false;
    complain('');
    this.#tell('leave', why);
  }

  /** Whether whoever is in now is who was in when the status was this, in the same workspace. */
  isOf(status) {
    const same = (key) => this.status[key] === status[key];
    return this.status !== null && ['user', 'issuer', 'workspace'].every(same);
  }

  /** Says what did not happen, and why; not where the person ended it. */
  fail(error, what = '') {
    if (error.name === 'AbortError' || !this.status) return;
    if (error.status === 401) this.leave(this.#ended());
    else if (error.status === 0 && !what) this.#lose(error.message);
    else complain(`${what} ${error.message}`.trim());
  }

  #ended() {
    return `${hasToken() ? 'Your token is no longer accepted.' : 'Your session has ended.'} ${AGAIN}`;
  }

  #see(status) {
    // Another tab signed in as somebody else: nothing of the first user stays on the page.
    if (this.status && !this.isOf(status)) {
      location.reload();
      return;
    }
    const isFirst = this.status === null;
    this.status = status;
    if (this.#lost) this.#tell('back');
    this.#lost = false;
    this.#tell(isFirst ? 'enter' : 'status');
  }

  #lose(why) {
    this.#lost = true;
    this.#tell('lost', why);
  }

  #tell(event, detail) {
    this.dispatchEvent(new CustomEvent(event, { detail }));
  }
}

/**
 * Exchanges a token for a session. False where the browser keeps none: an old one does not say where a request
 * is from (403 `forbidden`), and some drop the cookie of a page on this machine (401 `unauthorized`).
 */
async function exchange(token) {
  const headers = { 'content-type': 'application/json' };
  try {
    await request('/sign-in', { method: 'POST', headers, body: JSON.stringify({ token }) });
    await request('/status', { signal: AbortSignal.timeout(PATIENCE) });
    return true;
  } catch (error) {
    if (error.code === 'forbidden' || error.code === 'unauthorized') return false;
    throw error;
  }
}

export const session = new Session();
