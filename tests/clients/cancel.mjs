// Calls shell_exec with the TypeScript SDK and cancels it: by AbortSignal or by the SDK's own
// time-out; over HTTP, or over the stdio of mcp-remote. Prints how many milliseconds later the
// command is gone, as another conversation sees it.
//
//     node cancel.mjs sdk|mcp-remote abort|time-out URL

import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createRequire } from 'node:module';

const modules = process.env.CLIENT_MODULES ?? dirname(fileURLToPath(import.meta.url));
const require = createRequire(join(modules, 'package.json'));
const { Client } = await import(require.resolve('@modelcontextprotocol/sdk/client/index.js'));
const { StreamableHTTPClientTransport } = await import(
  require.resolve('@modelcontextprotocol/sdk/client/streamableHttp.js'));
const { StdioClientTransport } = await import(
  require.resolve('@modelcontextprotocol/sdk/client/stdio.js'));

const [way, how, url] = process.argv.slice(2);
// Unique, so that a command of another run is not mistaken for this one.
const seconds = 8500 + (process.pid % 400);

async function connect(transport) {
  const client = new Client({ name: 'casemate-tests', version: '0' });
  await client.connect(transport);
  return client;
}

const http = () => connect(new StreamableHTTPClientTransport(new URL(url)));
const remote = () => connect(new StdioClientTransport({
  command: process.execPath,
  args: [join(modules, 'node_modules/.bin/mcp-remote'), url, '--allow-http'],
  stderr: 'ignore',
}));

const watcher = await http();
const client = way === 'mcp-remote' ? await remote() : await http();

async function runs() {
  const command = `pgrep -fc '^sleep ${seconds}'; true`;
  const result = await watcher.callTool({ name: 'shell_exec', arguments: { command } });
  return result.structuredContent.stdout.trim() !== '0';
}

async function until(wanted) {
  const end = Date.now() + 15000;
  while (await runs() !== wanted) {
    if (Date.now() > end) throw new Error(`it ${wanted ? 'never ran' : 'ran on'}`);
  }
}

// A command that is not cancelled writes a file after 4 s.
const command = `(setsid sleep ${seconds} &); sleep 4; touch ran-on; sleep ${seconds}`;
const call = { name: 'shell_exec', arguments: { command, timeout_seconds: 60 } };
const abort = new AbortController();
const options = how === 'abort' ? { signal: abort.signal } : { timeout: 2000 };
const given_up = client.callTool(call, undefined, options).then(
  () => { throw new Error('it was answered'); },
  () => Date.now());
await until(true);
if (how === 'abort') abort.abort('a test');
const since = await given_up;
await until(false);
console.log(Date.now() - since);
await client.close();
await watcher.close();
process.exit(0);
