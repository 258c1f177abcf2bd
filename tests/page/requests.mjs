// What a model or an application does meanwhile, by the same server.

import assert from 'node:assert/strict';

/** Requests with this token; '' where the server asks for none. */
export function requests(base, token = '') {
  const headers = token ? { authorization: `Bearer ${token}` } : {};
  const ask = async (method, route, body, more = {}) => {
    const answer = await fetch(`${base}${route}`, { method, body, headers: { ...headers, ...more } });
    assert.ok(answer.ok, `${route.slice(0, 80)}: ${answer.status} ${await answer.clone().text()}`);
    return answer.json();
  };
  return {
    put: (path, content) => ask('PUT', `/v1/files/content/${path}`, content),
    run: (command, settings = {}, more = {}) =>
      ask('POST', '/v1/exec', JSON.stringify({ command, ...settings }), { 'content-type': 'application/json', ...more }),
    list: async (path) => (await ask('GET', `/files/list?path=${path}`)).data.files.map(({ filename }) => filename),
    text: async (path) => (await fetch(`${base}/files/content/${path}`, { headers })).text(),
  };
}
