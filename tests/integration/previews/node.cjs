// A page and a WebSocket on one port, with nothing but Node's own modules.
const crypto = require('node:crypto');
const http = require('node:http');

const PAGE = `<!doctype html>
<title>Node</title>
<button id="ask">Ask</button> <output id="said"></output>
<script>
  const socket = new WebSocket('ws://' + location.host + '/hmr');
  socket.onmessage = (event) => { document.getElementById('said').textContent = event.data; };
  document.getElementById('ask').onclick = () => socket.send('x');
</script>`;

const server = http.createServer((request, response) => {
  // As Vite does, it refuses any other host.
  const isLocal = request.headers.host === `localhost:${process.argv[2]}`;
  response.writeHead(isLocal ? 200 : 403, { 'content-type': 'text/html' });
  response.end(isLocal ? PAGE : 'a foreign host');
});
server.on('upgrade', (request, socket) => {
  const key = request.headers['sec-websocket-key'] + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
  const accept = crypto.createHash('sha1').update(key).digest('base64');
  socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`);
  const said = Buffer.from('answered');
  socket.on('data', () => socket.write(Buffer.concat([Buffer.from([0x81, said.length]), said])));
  socket.on('error', () => {});
});
server.listen(Number(process.argv[2]));
