// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// heap.js KIND NUMBER: heap (MiB of live objects), wasm (instances), workers, buffers. READY when it stands.
const [kind, text] = process.argv.slice(2);
const number = Number(text);
const kept = [];
globalThis.kept = kept;
const ready = () => {
	console.log("READY");
	process.stdin.resume();
	process.stdin.on("end", () => process.exit(0));
};
if (kind === "heap") {
	while (process.memoryUsage().heapUsed < number * 2 ** 20)
		for (let i = 0; i < 20000; i++) kept.push({a: i, b: "x" + i, c: [i]});
	ready();
} else if (kind === "wasm") {
	const bytes = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 5, 3, 1, 0, 4]);
	const module = new WebAssembly.Module(bytes);
	for (let i = 0; i < number; i++) {
		const memory = new WebAssembly.Memory({initial: 4});
		kept.push(new WebAssembly.Instance(module), memory);
	}
	ready();
} else if (kind === "buffers") {
	for (let i = 0; i < number; i++) kept.push(Buffer.alloc(1 << 20, 1));
	ready();
} else {
	import("node:worker_threads").then(({Worker}) => {
		let started = 0;
		for (let i = 0; i < number; i++) {
			const worker = new Worker("require('worker_threads').parentPort.postMessage(1); setInterval(()=>0, 1e6)", {eval: true});
			worker.on("message", () => ++started === number && ready());
			kept.push(worker);
		}
	});
}
