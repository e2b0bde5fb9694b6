// The page: a picture or the camera in, boxes out.

import { at, failed, report, say, showFound, showUnknown } from "./answers.js";
import { drawDetections, drawPicture } from "./drawing.js";
import { Encoder } from "./encoder.js";
import { prepareOffline, threadCount } from "./isolation.js";
import { Model } from "./model.js";
import { drawSource, openCamera, openPicture, receiveDrops } from "./sources.js";
import { Vocabulary } from "./vocabulary.js";

const LIMIT = 100;
const wishes = new URLSearchParams(location.search);
const picture = document.createElement("canvas");
const reasons = new Map(); // name -> why it could not be encoded
let numLearning = 0;
let facts, weights, vocabulary, encoder, model, source, stream, isBusy, rate, lastRun;

async function start() {
  at("threshold").addEventListener("input", showThreshold);
  await prepareOffline();
  facts = await (await wanted("model.json")).json();
  at("threshold").value = facts.score_threshold;
  showThreshold();
  const [graph, embeddings] = await Promise.all(
    ["model.onnx", "embeddings.f32"].map(async (file) => (await wanted(file)).arrayBuffer()),
  );
  weights = graph;
  vocabulary = new Vocabulary(facts.prompts, new Float32Array(embeddings), facts.embedding_dim);
  if (facts.text_encoder) encoder = new Encoder(facts.text_encoder, (line) => say(line, "busy"), threadCount());
  at("known").append(...facts.prompts.map((prompt) => new Option(prompt, prompt)));
  at("prompts").placeholder = `empty: all ${facts.prompts.length} (${facts.prompts.slice(0, 4).join(", ")}, …)`;
  await offerWebGpu();
  await useDevice(wishes.get("device") === "webgpu" ? "webgpu" : "wasm");
  listen();
}

function listen() {
  at("controls").addEventListener("submit", (event) => {
    event.preventDefault();
    learn().then(detectAgain);
  });
  at("threshold").addEventListener("change", detectAgain);
  at("device").addEventListener("change", () => useDevice(at("device").value).then(detectAgain, failed));
  at("picture").addEventListener("change", () => at("picture").files.length && usePicture(at("picture").files[0]));
  at("camera").addEventListener("click", () => (stream ? stopCamera() : useCamera()));
  at("camera").disabled = !navigator.mediaDevices;
  receiveDrops(at("stage"), usePicture);
}

async function wanted(file) {
  const response = await fetch(file);
  if (!response.ok) throw new Error(`${file} is not there (${response.status}). Copy the whole folder.`);
  return response;
}

function showThreshold() {
  at("threshold-shown").value = Number(at("threshold").value).toFixed(2);
}

/** Adds the graphics processor where the browser has one and the folder has its runtime. */
async function offerWebGpu() {
  if (!facts.has_webgpu || !navigator.gpu || !(await navigator.gpu.requestAdapter().catch(() => null))) return;
  at("device").append(new Option("graphics processor (WebGPU)", "webgpu"));
}

async function useDevice(device) {
  say("Preparing the model …", "loading");
  at("detect").disabled = true;
  model?.close();
  model = new Model("./worker.js");
  try {
    const { threads } = await model.ask("open", { facts, model: weights, device, threads: threadCount() });
    const why = self.crossOriginIsolated ? "" : "; more need a cross-origin isolated page";
    const where = device === "wasm" ? `${threads} thread${threads === 1 ? "" : "s"}${why}` : "WebGPU";
    at("about").textContent = `${where}; ${facts.name}, form ${facts.form}, ${facts.runtime}`;
    at("device").value = device;
    Object.assign(document.body.dataset, { threads, device });
  } catch (error) {
    if (device === "wasm") throw error;
    await useDevice("wasm");
    throw new Error(`The graphics processor refused the model (${error.message}). The CPU runs it.`);
  }
  at("detect").disabled = false;
  say("Ready.", "ready");
}

async function usePicture(file) {
  stopCamera();
  try {
    source = await openPicture(file);
    await learn();
    await detect();
  } catch (error) {
    failed(error);
  }
}

async function useCamera() {
  try {
    source = at("video");
    stream = await openCamera(source);
  } catch (error) {
    failed(error);
    return;
  }
  at("camera").textContent = "Stop";
  await learn();
  const begin = performance.now();
  for (let frames = 1; stream && (await detect()); frames++) {
    rate = (1000 * frames) / (performance.now() - begin);
    document.body.dataset.frames = frames;
    await new Promise(requestAnimationFrame);
  }
}

function stopCamera() {
  stream?.getTracks().forEach((track) => track.stop());
  stream = rate = null;
  at("camera").textContent = "Camera";
}

/** Has the names encoded that the bank does not hold, where the folder has a text encoder.
 * Not for each picture of the camera: a person may be typing. */
async function learn() {
  const { unknown } = vocabulary.read(at("prompts").value);
  if (!encoder || unknown.length === 0) return;
  numLearning++;
  for (const { typed } of unknown) {
    try {
      if (!vocabulary.has(typed)) vocabulary.add(typed, await encoder.encode(typed));
    } catch (error) {
      reasons.set(typed, error.message);
    }
  }
  if (--numLearning === 0) say("Ready.", "ready");
  readNames();
}

/** Rows of the typed names; says which names have none, and why. */
function readNames() {
  const { rows, unknown } = vocabulary.read(at("prompts").value);
  const why = (typed) => reasons.get(typed) ?? `not among the ${facts.prompts.length} prompts of this model${encoder ? "; Detect encodes it" : ""}.`;
  showUnknown(unknown.map((each) => ({ ...each, why: why(each.typed) })), replacePrompt);
  return rows;
}

/** The camera looks at its next picture anyway. */
function detectAgain() {
  if (!stream && source) detect();
}

/** Looks for the prompts in the source and shows what is found; false if that failed. */
async function detect() {
  if (isBusy || at("detect").disabled) return false;
  const rows = readNames();
  const pen = drawSource(picture, source);
  if (rows.length === 0) {
    drawPicture(at("view"), picture);
    showFound([]);
    at("summary").textContent = "Nothing was looked for: none of these prompts is known.";
    return true;
  }
  isBusy = true;
  if (!stream) say("Looking …", "busy");
  try {
    const { width, height } = picture;
    const rgba = pen.getImageData(0, 0, width, height).data.buffer;
    const options = { threshold: Number(at("threshold").value), limit: LIMIT };
    const request = { rgba, width, height, texts: vocabulary.texts(rows), ...options };
    const { detections, milliseconds } = await model.ask("find", request, [rgba]);
    const found = detections.map(({ label, ...each }) => ({ ...each, row: rows[label], prompt: vocabulary.prompts[rows[label]] }));
    drawDetections(at("view"), found, drawPicture(at("view"), picture));
    showFound(found);
    report(found.length, rows.length, milliseconds, rate);
    lastRun = milliseconds.run;
    if (!numLearning) say("Ready.", "ready");
    return true;
  } catch (error) {
    failed(error);
    return false;
  } finally {
    isBusy = false;
  }
}

function replacePrompt(typed, prompt) {
  const parts = at("prompts").value.split(",").map((part) => (part.trim() === typed ? prompt : part.trim()));
  at("prompts").value = parts.join(", ");
  detectAgain();
}

/** Milliseconds of the model in each of some runs on the picture that is shown, for benchmarks. */
async function measure(runs) {
  const times = [];
  for (let run = 0; run < runs; run++) {
    if (!source || !(await detect())) throw new Error("Choose a picture first.");
    times.push(lastRun);
  }
  return times;
}

/** The embedding of a name by the text encoder, for tests. */
async function embed(name) {
  return Array.from(await encoder.encode(name));
}

self.crqat = { measure, embed };
start().catch(failed);
