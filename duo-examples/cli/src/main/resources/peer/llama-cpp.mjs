// Drives llama.cpp through node-llama-cpp, CPU only: one JSON request per line on stdin, one answer per line, after "@@",
// on stdout. Ends with its input.
//   npm install --ignore-scripts node-llama-cpp@3.22.1
//   node llama-cpp.mjs FILE.gguf THREADS VOCABULARY
// Requests: {op: "open", fa, kv, context} -> {id}; {op: "prefill", id, tokens} -> {seconds, depth};
//   {op: "decode", id, tokens} -> {seconds: [...], depth}; {op: "truncate", id, depth}; {op: "fill", id, depth, file}.
// "fill" makes a deep cache without computing it: the saved state of a short one is repeated up to the depth. What keys
// and values hold does not matter for speed. It fails when the state is not laid out as expected; nothing is guessed.
import {closeSync, openSync, readFileSync, rmSync, writeSync} from "node:fs";
import {createInterface} from "node:readline";
import {getLlama} from "node-llama-cpp";

const [file, threads, vocabulary] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];
const llama = await getLlama({gpu: false, build: "never", maxThreads: threads, logLevel: "error"});
const model = await llama.loadModel({modelPath: file, gpuLayers: 0});
const open = new Map();
const FIRST_WORD = 259;
let seed = 1;
let next = 0;

const token = () => FIRST_WORD + (seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff) % (vocabulary - FIRST_WORD);
const tokens = (n) => Array.from({length: n}, token);

const operations = {
    async open({fa, kv, context}) {
        const options = {contextSize: context, batchSize: 512, threads, flashAttention: fa, ignoreMemorySafetyChecks: true};
        if (kv !== "f16") {
            const type = kv.toUpperCase();
            Object.assign(options, {experimentalKvCacheKeyType: type, experimentalKvCacheValueType: type});
        }
        const created = await model.createContext(options);
        open.set(next, {context: created, sequence: created.getSequence()});
        return {id: next++};
    },
    async prefill({id, tokens: n}) {
        const {sequence} = open.get(id);
        const ids = tokens(n);
        const start = performance.now();
        await sequence.evaluateWithoutGeneratingNewTokens(ids);
        return {seconds: (performance.now() - start) / 1000, depth: sequence.nextTokenIndex};
    },
    async decode({id, tokens: n}) {
        const {sequence} = open.get(id);
        const seconds = [];
        let last;
        for await (const _ of sequence.evaluate([token()], {temperature: 0, yieldEogToken: true})) {
            const now = performance.now();
            if (last) seconds.push((now - last) / 1000);
            last = now;
            if (seconds.length === n) break;
        }
        return {seconds, depth: sequence.nextTokenIndex};
    },
    async truncate({id, depth}) {
        const {sequence} = open.get(id);
        if (depth < sequence.nextTokenIndex) {
            await sequence.eraseContextTokenRanges([{start: depth, end: sequence.nextTokenIndex}]);
        }
        return {depth: sequence.nextTokenIndex};
    },
    async fill({id, depth, file: state}) {
        const {sequence} = open.get(id);
        const short = 64;
        await operations.truncate({id, depth: 0});
        await operations.prefill({id, tokens: short});
        try {
            await sequence.saveStateToFile(state);
            lengthen(readFileSync(state), state, sequence.nextTokenIndex, depth);
            await sequence.loadStateFromFile(state, {acceptRisk: true});
        } finally {
            rmSync(state, {force: true});
        }
        if (sequence.nextTokenIndex !== depth) throw new Error("the state was not taken: " + sequence.nextTokenIndex);
        return {depth: sequence.nextTokenIndex};
    }
};

// A sequence's state: magic, version, tokens; streams; cells with their position and one sequence, 0; whether
// values are transposed; layers; per layer the type and the row size of keys, then the rows; then values likewise, or
// element size and width when they are transposed.
function lengthen(data, target, from, to) {
    let at = 0;
    const u32 = () => data.readUInt32LE((at += 4) - 4);
    const u64 = () => Number(data.readBigUInt64LE((at += 8) - 8));
    const expect = (name, actual, wanted) => {
        if (actual !== wanted) throw new Error(`the saved state is laid out differently: ${name} is ${actual}, not ${wanted}`);
    };
    const out = openSync(target, "w");
    try {
        const copy = (begin, end) => writeSync(out, data, begin, end - begin);
        const word = (value) => {
            const buffer = Buffer.alloc(4);
            buffer.writeUInt32LE(value);
            writeSync(out, buffer);
        };
        // Repeats the bytes of "from" equal cells up to "to".
        const repeat = (size) => {
            const rows = data.subarray(at, at + from * size);
            at += from * size;
            const times = Math.max(1, Math.min(Math.ceil(to / from), Math.ceil((1 << 20) / rows.length)));
            const piece = Buffer.concat(Array(times).fill(rows));
            for (let left = to * size; left > 0; left -= piece.length) {
                writeSync(out, piece, 0, Math.min(left, piece.length));
            }
        };
        u32();
        u32();
        copy(0, at);
        expect("tokens", u32(), from);
        word(to);
        repeat(4);
        expect("streams", u32(), 1);
        word(1);
        expect("cells", u32(), from);
        word(to);
        const cells = Buffer.alloc(12 * to);
        for (let i = 0; i < to; i++) {
            if (i < from) {
                expect("position", u32(), i);
                expect("sequences", u32(), 1);
                expect("sequence", u32(), 0);
            }
            cells.writeUInt32LE(i, 12 * i);
            cells.writeUInt32LE(1, 12 * i + 4);
        }
        writeSync(out, cells);
        const transposed = u32();
        const layers = u32();
        word(transposed);
        word(layers);
        for (let i = 0; i < layers; i++) {
            const begin = at;
            u32();
            const size = u64();
            copy(begin, at);
            repeat(size);
        }
        for (let i = 0; i < layers; i++) {
            const begin = at;
            u32();
            if (transposed) {
                const element = u32();
                const width = u32();
                copy(begin, at);
                for (let row = 0; row < width; row++) repeat(element);
            } else {
                const size = u64();
                copy(begin, at);
                repeat(size);
            }
        }
        expect("length", data.length, at);
    } finally {
        closeSync(out);
    }
}

console.log("@@" + JSON.stringify({ready: true, release: llama.llamaCppRelease?.release ?? ""}));
for await (const line of createInterface({input: process.stdin})) {
    let answer;
    try {
        const request = JSON.parse(line);
        answer = await operations[request.op](request);
    } catch (error) {
        answer = {error: String(error?.message ?? error)};
    }
    console.log("@@" + JSON.stringify(answer));
}
process.exit(0);
