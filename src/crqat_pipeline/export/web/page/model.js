// The page's side of a worker: questions and answers as promises.

export class Model {
  constructor(script) {
    this.worker = new Worker(new URL(script, import.meta.url), { type: "module" });
    this.waiting = new Map();
    this.count = 0;
    this.worker.onmessage = ({ data: { id, answer, error } }) => {
      const { resolve, reject } = this.waiting.get(id);
      this.waiting.delete(id);
      if (error === undefined) resolve(answer);
      else reject(new Error(error));
    };
    this.worker.onerror = (event) => {
      for (const { reject } of this.waiting.values()) reject(new Error(event.message || "The worker did not start."));
      this.waiting.clear();
    };
  }

  ask(deed, request, transfer = []) {
    const id = this.count++;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.worker.postMessage({ id, deed, ...request }, transfer);
    });
  }

  close() {
    this.worker.terminate();
  }
}
