// What a person types, as rows of the model's text bank and of names encoded since; for others, the nearest known ones.

const SHOWN = 4;
const LEAST_LIKENESS = 0.3;

export class Vocabulary {
  /** prompts: names of the rows; embeddings: Float32Array K D; width: D. */
  constructor(prompts, embeddings, width) {
    this.prompts = [...prompts];
    this.bankSize = prompts.length;
    this.width = width;
    this.embeddings = prompts.map((_, row) => embeddings.subarray(row * width, (row + 1) * width));
    this.rows = new Map();
    prompts.forEach((prompt, row) => {
      if (!this.rows.has(key(prompt))) this.rows.set(key(prompt), row);
    });
  }

  /** A name that was encoded: known from now on, but no part of the whole bank. */
  add(prompt, embedding) {
    if (embedding.length !== this.width) {
      throw new Error(`The text encoder gives ${embedding.length} numbers, the model compares ${this.width}. Export the page again.`);
    }
    if (this.has(prompt)) return;
    this.rows.set(key(prompt), this.prompts.length);
    this.prompts.push(prompt);
    this.embeddings.push(embedding);
  }

  has(prompt) {
    return this.rows.has(key(prompt));
  }

  /** {rows, unknown: [{typed, nearest}]} of a text with commas; an empty text asks for the whole bank. */
  read(text) {
    const typed = text.split(",").map((part) => part.trim()).filter(Boolean);
    if (typed.length === 0) return { rows: this.prompts.slice(0, this.bankSize).map((_, row) => row), unknown: [] };
    const rows = new Set();
    const unknown = [];
    for (const word of typed) {
      if (this.has(word)) rows.add(this.rows.get(key(word)));
      else unknown.push({ typed: word, nearest: this.nearest(word) });
    }
    return { rows: [...rows], unknown };
  }

  nearest(word) {
    const wanted = key(word);
    return this.prompts
      .slice(0, this.bankSize)
      .map((prompt) => ({ prompt, likeness: likeness(wanted, key(prompt)) }))
      .filter((each) => each.likeness >= LEAST_LIKENESS)
      .sort((left, right) => right.likeness - left.likeness)
      .slice(0, SHOWN)
      .map((each) => each.prompt);
  }

  /** Float32Array of the chosen rows, one after another. */
  texts(rows) {
    const texts = new Float32Array(rows.length * this.width);
    rows.forEach((row, place) => texts.set(this.embeddings[row], place * this.width));
    return texts;
  }
}

function key(prompt) {
  return prompt.trim().toLowerCase();
}

/** Share of neighbouring letters that two words have in common, 0 to 1; a word inside the other counts half at least. */
function likeness(left, right) {
  const pairs = (word) => Array.from({ length: word.length + 1 }, (_, place) => ` ${word} `.slice(place, place + 2));
  const ofLeft = pairs(left);
  const remaining = pairs(right);
  const total = ofLeft.length + remaining.length;
  let common = 0;
  for (const pair of ofLeft) {
    const place = remaining.indexOf(pair);
    if (place < 0) continue;
    remaining.splice(place, 1);
    common++;
  }
  const share = (2 * common) / total;
  return right.includes(left) || left.includes(right) ? Math.max(0.5, share) : share;
}
