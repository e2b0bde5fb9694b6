// Embeddings of names that the bank does not hold. Its files are fetched with the first such name.

import { Model } from "./model.js";

const FOLDER = "text_encoder";

export class Encoder {
  /** facts: of model.json, text_encoder. tell: called with a line for each step. threads: of the runtime. */
  constructor(facts, tell, threads) {
    this.facts = facts;
    this.tell = tell;
    this.threads = threads;
  }

  /** Float32Array of a name. Raises an Error if files are missing, or the name is longer than the encoder reads. */
  async encode(text) {
    this.opened ??= this.open();
    const model = await this.opened.catch((error) => {
      this.opened = undefined; // the next name tries again
      throw error;
    });
    this.tell(`Encoding “${text.slice(0, 60)}” …`);
    return model.ask("encode", { text });
  }

  async open() {
    const { bytes, context_length: contextLength } = this.facts;
    const total = Object.values(bytes).reduce((sum, each) => sum + each, 0);
    let before = 0;
    const files = [];
    for (const name of Object.keys(bytes)) {
      files.push(await fetched(`${FOLDER}/${name}`, (got) => this.progress(before + got, total)));
      before += bytes[name];
    }
    this.tell("Preparing the text encoder …");
    const [tower, merges] = files;
    const model = new Model("./text_worker.js");
    try {
      await model.ask("open", { tower, merges, contextLength, threads: this.threads }, [tower, merges]);
    } catch (error) {
      model.close();
      throw error;
    }
    return model;
  }

  progress(got, total) {
    const megabytes = (count) => (count / 2 ** 20).toFixed(1);
    this.tell(`Fetching the text encoder, once: ${megabytes(got)} of ${megabytes(total)} MB …`);
  }
}

/** The content of a file; tell: called with the bytes that have come. */
async function fetched(file, tell) {
  let response;
  try {
    response = await fetch(file);
  } catch {
    throw new Error(`${file} cannot be fetched: no network. The names of the bank work without.`);
  }
  if (!response.ok) throw new Error(`${file} is not there (${response.status}). Copy the whole folder.`);
  const parts = [];
  let got = 0;
  for (const reader = response.body.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    tell((got += value.length));
  }
  return new Blob(parts).arrayBuffer();
}
