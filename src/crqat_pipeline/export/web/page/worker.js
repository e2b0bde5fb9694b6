// The model, beside the page, so that the page answers while it computes.

import { letterbox } from "./letterbox.js";
import { select } from "./selection.js";

const RUNTIMES = {
  wasm: { script: "./runtime/ort.wasm.bundle.min.mjs", binary: "./runtime/ort-wasm-simd-threaded.wasm" },
  webgpu: { script: "./runtime/ort.webgpu.bundle.min.mjs", binary: "./runtime/ort-wasm-simd-threaded.asyncify.wasm" },
};
let ort, session, facts;

/** facts: of model.json. threads: of the WebAssembly runtime; more than one need a cross-origin isolated page. */
async function open({ facts: given, model, device, threads }) {
  facts = given;
  await session?.release();
  const { script, binary } = RUNTIMES[device];
  ort = await import(script);
  ort.env.logLevel = "error";
  ort.env.wasm.wasmPaths = { wasm: new URL(binary, import.meta.url).href };
  ort.env.wasm.numThreads = threads;
  session = await ort.InferenceSession.create(new Uint8Array(model), { executionProviders: [device] });
  return { threads: device === "wasm" ? ort.env.wasm.numThreads : 1 };
}

/** Detections of an RGBA picture in its own pixels, and how long each part took in milliseconds. */
async function find({ rgba, width, height, texts, threshold, limit }) {
  const start = performance.now();
  const [inputHeight, inputWidth] = facts.input_px;
  const fitted = letterbox(new Uint8ClampedArray(rgba), width, height, inputHeight, inputWidth);
  const prepared = performance.now();
  const numPrompts = texts.length / facts.embedding_dim;
  const feeds = { images: new ort.Tensor("float32", fitted.values, [1, 3, inputHeight, inputWidth]) };
  feeds.text_embeddings = new ort.Tensor("float32", texts, [numPrompts, facts.embedding_dim]);
  const { boxes, scores } = await session.run(feeds, ["boxes", "scores"]);
  const ran = performance.now();
  const options = { threshold, limit, iou: facts.nms_iou, candidates: facts.max_candidates };
  const kept = select(await scores.getData(), await boxes.getData(), numPrompts, options);
  const place = (value, offset, scale, side) => Math.min(Math.max((value - offset) / scale, 0), side);
  const detections = kept.map(({ label, score, box }) => ({
    label,
    score,
    box: box.map((value, index) =>
      index % 2 === 0 ? place(value, fitted.left, fitted.scaleX, width) : place(value, fitted.top, fitted.scaleY, height),
    ),
  }));
  const done = performance.now();
  return { detections, milliseconds: { prepare: prepared - start, run: ran - prepared, select: done - ran } };
}

const DEEDS = { open, find };

onmessage = async ({ data: { id, deed, ...request } }) => {
  try {
    postMessage({ id, answer: await DEEDS[deed](request) });
  } catch (error) {
    postMessage({ id, error: String(error?.message ?? error) });
  }
};
