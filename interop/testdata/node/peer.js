// The other end of the interop tests in Node: `ws` in both roles and the WebSocket
// of Node itself. The protocol on standard input and output is told in foreign_test.go.
'use strict';
const fs = require('fs');
const http = require('http');
const https = require('https');
const ws = require('ws');

// Since Node 22 this is a global; the package is the same code.
const undici = globalThis.WebSocket ? null : require('undici');
const NodeSocket = globalThis.WebSocket || undici.WebSocket;

const certificate = { cert: fs.readFileSync(process.env.PEER_CERT), key: fs.readFileSync(process.env.PEER_KEY) };
const connections = new Map(), servers = new Map();
let accepted = 0;

function tell(op, id, fields = {}, payload = '') {
	const data = Buffer.from(payload);
	const line = Object.entries({ op, id, ...fields, size: data.length }).map(([k, v]) => `${k}=${v}`).join('\t');
	process.stdout.write(Buffer.concat([Buffer.from(line + '\n'), data]));
}

// deflate makes the setting of ws of the parameters of an offer or an answer.
function deflate(text) {
	if (text === undefined) return false;
	const setting = { threshold: 0 };
	for (const parameter of text.split(';').map(s => s.trim()).filter(s => s && s !== 'permessage-deflate')) {
		const [name, value] = parameter.split('=');
		setting[name.replace(/_(.)/g, (_, letter) => letter.toUpperCase())] = value === undefined ? true : Number(value);
	}
	return setting;
}

const list = text => (text ? text.split(',') : []);

function adoptWs(id, socket, fields) {
	const connection = {
		// A message of text may end a frame inside a character: buffers, not strings.
		write(data, binary, fragment, done) {
			const size = fragment || Math.max(data.length, 1);
			let at = 0;
			const next = error => {
				if (error || (at >= data.length && at > 0)) return done(error);
				const piece = data.subarray(at, at + size);
				at += size;
				socket.send(piece, { binary, fin: at >= data.length }, next);
			};
			next();
		},
		ping: payload => socket.ping(payload),
		close: (code, reason) => (code === 1005 ? socket.close() : socket.close(code, reason)),
		drop: () => socket.terminate(),
	};
	connections.set(id, connection);
	socket.on('message', (data, binary) => tell(binary ? 'binary' : 'text', id, {}, data));
	socket.on('ping', payload => tell('ping', id, {}, payload));
	socket.on('pong', payload => tell('pong', id, {}, payload));
	socket.on('error', error => { connection.error = error; });
	socket.on('close', (code, reason) => {
		connections.delete(id);
		if (code === 1006 || connection.error) tell('error', id, {}, String(connection.error || 'code 1006'));
		else tell('close', id, { code }, reason);
	});
	tell('open', id, { ...fields, protocol: socket.protocol, extensions: socket.extensions });
}

function adoptNodeSocket(id, socket) {
	connections.set(id, {
		write(data, binary, fragment, done) {
			socket.send(binary ? data : new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(data));
			done();
		},
		close: (code, reason) => (code === 1005 ? socket.close() : socket.close(code, String(reason))),
		drop: () => socket.close(),
	});
	socket.onmessage = e => (typeof e.data === 'string' ? tell('text', id, {}, e.data) : tell('binary', id, {}, Buffer.from(e.data)));
	socket.onclose = e => {
		connections.delete(id);
		if (e.code === 1006) tell('error', id, {}, 'code 1006');
		else tell('close', id, { code: e.code }, e.reason);
	};
	tell('open', id, { protocol: socket.protocol, extensions: socket.extensions });
}

const commands = {
	listen({ id, secure, protocols, deflate: parameters }) {
		const server = secure ? https.createServer(certificate) : http.createServer();
		const known = list(protocols);
		const listener = new ws.WebSocketServer({
			server,
			maxPayload: 0,
			perMessageDeflate: deflate(parameters),
			handleProtocols: offered => [...offered].find(name => known.includes(name)) || false,
		});
		listener.on('connection', socket => adoptWs(`accepted${++accepted}`, socket, { listener: id }));
		server.listen(0, '127.0.0.1', () => tell('listening', id, { port: server.address().port }));
		servers.set(id, listener);
		listener.on('close', () => server.close());
	},
	stop({ id }) {
		servers.get(id).close();
		servers.delete(id);
	},
	dial({ id, kind, url, protocols, deflate: parameters }) {
		if (kind === 'undici') {
			const socket = new NodeSocket(url, list(protocols));
			socket.binaryType = 'arraybuffer';
			socket.onerror = e => tell('failed', id, {}, String(e.error || e.message || e.type));
			socket.onopen = () => { socket.onerror = () => {}; adoptNodeSocket(id, socket); };
			return;
		}
		const socket = new ws.WebSocket(url, list(protocols), {
			ca: certificate.cert,
			maxPayload: 0,
			perMessageDeflate: deflate(parameters),
		});
		const failed = error => tell('failed', id, {}, String(error));
		socket.once('error', failed);
		// Not later: the first messages may be there already.
		socket.once('open', () => { socket.off('error', failed); adoptWs(id, socket, {}); });
	},
	write({ id, binary, fragment, payload }) {
		connections.get(id).write(payload, binary === '1', Number(fragment || 0), error =>
			tell(error ? 'failed' : 'written', id, {}, error ? String(error) : ''));
	},
	ping: ({ id, payload }) => connections.get(id).ping(payload),
	close: ({ id, code, payload }) => connections.get(id).close(Number(code), payload),
	drop: ({ id }) => connections.get(id)?.drop(),
};

let received = [], missing = 0;
process.stdin.on('data', chunk => {
	received.push(chunk);
	missing -= chunk.length;
	if (missing > 0) return;
	let data = Buffer.concat(received);
	for (;;) {
		const end = data.indexOf('\n');
		if (end < 0) break;
		const command = Object.fromEntries(data.toString('utf8', 0, end).split('\t').map(f => [f.slice(0, f.indexOf('=')), f.slice(f.indexOf('=') + 1)]));
		const size = Number(command.size);
		if (data.length < end + 1 + size) {
			missing = end + 1 + size - data.length;
			break;
		}
		command.payload = data.subarray(end + 1, end + 1 + size);
		data = data.subarray(end + 1 + size);
		try {
			commands[command.op](command);
		} catch (error) {
			tell('failed', command.id, {}, error.stack);
		}
	}
	received = [data];
});
// The tests have ended, in whatever way.
process.stdin.on('end', () => process.exit());

tell('hello', 0, { version: `Node ${process.version}, ws ${require('ws/package.json').version}, WebSocket of ${undici ? 'undici ' + require('undici/package.json').version : 'Node with undici ' + process.versions.undici}` });
