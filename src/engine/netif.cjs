// Loaded by every Node.js of a sandbox, through NODE_OPTIONS.
//
// Sandboxes have no netlink sockets: what waits in them is charged to no cgroup. libuv asks for the
// interfaces over one, so os.networkInterfaces() throws, and servers that print their addresses
// (vite --host, serve, http-server) end with it. Where the call throws, this answers what is true
// in a sandbox: loopback alone. Where it works, it is left as it is.
'use strict';

const os = require('os');

const ask = os.networkInterfaces;
const mac = '00:00:00:00:00:00';

/** Whether loopback has ::1 (the fields of /proc/net/if_inet6 are in proc(5)). */
function hasIPv6() {
  try {
    return /^0{31}1 .* lo$/m.test(require('fs').readFileSync('/proc/net/if_inet6', 'latin1'));
  } catch {
    return false;
  }
}

/** What Node.js answers for loopback, each time anew: callers may change what they get. */
function loopback() {
  const lo = [
    { address: '127.0.0.1', netmask: '255.0.0.0', family: 'IPv4', mac, internal: true, cidr: '127.0.0.1/8' },
  ];
  if (hasIPv6()) {
    const netmask = 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff';
    lo.push({ address: '::1', netmask, family: 'IPv6', mac, internal: true, cidr: '::1/128', scopeid: 0 });
  }
  return { lo };
}

os.networkInterfaces = function networkInterfaces() {
  try {
    return ask();
  } catch (error) {
    if (error.code !== 'ERR_SYSTEM_ERROR') throw error;
    return loopback();
  }
};

// What `import { networkInterfaces } from 'os'` gets; Node.js before 12.12 has no such call.
const { syncBuiltinESMExports } = require('module');
if (syncBuiltinESMExports) syncBuiltinESMExports();
