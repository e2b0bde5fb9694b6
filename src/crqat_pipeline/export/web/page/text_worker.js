// The text encoder, beside the page and beside the detector: always on the CPU.

import { Tokenizer } from "./tokenizer.js";

let ort, session, tokenizer;

/** tower, merges: content of the two files. threads: of the WebAssembly runtime. */
async function open({ tower, merges, contextLength, threads }) {
  tokenizer = new Tokenizer(new TextDecoder().decode(merges), contextLength);
  ort = await import("./runtime/ort.wasm.bundle.min.mjs");
  ort.env.logLevel = "error";
  ort.env.wasm.wasmPaths = { wasm: new URL("./runtime/ort-wasm-simd-threaded.wasm", import.meta.url).href };
  ort.env.wasm.numThreads = threads;
  // Further optimizations may round activations, where a build of the runtime has them.
  const options = { executionProviders: ["wasm"], graphOptimizationLevel: "basic" };
  session = await ort.InferenceSession.create(new Uint8Array(tower), options);
}

/** The embedding of one text. Nothing behind its end mark is computed, since no token sees what comes after it. */
async function encode({ text }) {
  const { ids, length } = tokenizer.encode(text);
  if (length > ids.length) {
    throw new Error(`${length} tokens with start and end; the text encoder takes ${ids.length}. Shorten it.`);
  }
  const tokens = new ort.Tensor("int64", BigInt64Array.from(ids, BigInt), [1, ids.length]);
  const { embeddings } = await session.run({ tokens }, ["embeddings"]);
  return new Float32Array(await embeddings.getData());
}

const DEEDS = { open, encode };

onmessage = async ({ data: { id, deed, ...request } }) => {
  try {
    postMessage({ id, answer: await DEEDS[deed](request) });
  } catch (error) {
    postMessage({ id, error: String(error?.message ?? error) });
  }
};
