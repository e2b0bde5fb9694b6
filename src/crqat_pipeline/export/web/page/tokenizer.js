// Byte-pair encoding as CLIP's text tower expects it: text -> numbers of the vocabulary.
//
// A text is cleaned, put in small letters and cut into words. Each word is the sequence of its bytes in UTF-8, each byte
// shown as one printable letter, the last one marked as the word's end; then the pair of neighbours that stands first in
// the list of merges becomes one symbol, again and again, until no pair of the word is in the list.

const START = "<start_of_text>";
const END = "<end_of_text>";
const WORD_END = "</w>";
const WORDS = /<start_of_text>|<end_of_text>|'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+/gu;

export class Tokenizer {
  /** merges: text with one pair a line, "left right", best first. contextLength: most numbers of a text. */
  constructor(merges, contextLength) {
    this.contextLength = contextLength;
    this.letters = byteLetters();
    this.ranks = new Map();
    this.numbers = new Map();
    this.known = new Map(); // word -> its numbers
    const add = (symbol) => this.numbers.set(symbol, this.numbers.size);
    const inOrder = orderOfBytes().map((byte) => this.letters[byte]);
    inOrder.forEach(add);
    inOrder.forEach((letter) => add(letter + WORD_END));
    for (const pair of merges.split("\n").filter(Boolean)) {
      this.ranks.set(pair, this.ranks.size);
      add(pair.replace(" ", ""));
    }
    add(START);
    add(END);
  }

  /** {ids, length}: numbers from start to end mark, cut to the context; length: how many there were before. */
  encode(text) {
    const words = clean(text).match(WORDS) ?? [];
    const end = this.numbers.get(END);
    const ids = [this.numbers.get(START), ...words.flatMap((word) => this.numbersOf(word)), end];
    const kept = ids.slice(0, this.contextLength);
    kept[kept.length - 1] = end;
    return { ids: kept, length: ids.length };
  }

  numbersOf(word) {
    if (word === START || word === END) return [this.numbers.get(word)];
    if (!this.known.has(word)) this.known.set(word, this.merged(word).map((symbol) => this.numbers.get(symbol)));
    return this.known.get(word);
  }

  merged(word) {
    let symbols = Array.from(new TextEncoder().encode(word), (byte) => this.letters[byte]);
    symbols[symbols.length - 1] += WORD_END;
    for (;;) {
      let best = null;
      let rank = Infinity;
      for (let place = 0; place + 1 < symbols.length; place++) {
        const found = this.ranks.get(`${symbols[place]} ${symbols[place + 1]}`);
        if (found < rank) [best, rank] = [place, found];
      }
      if (best === null) return symbols;
      symbols = joined(symbols, symbols[best], symbols[best + 1]);
    }
  }
}

/** Every occurrence of the two neighbours as one symbol, from the left. */
function joined(symbols, left, right) {
  const result = [];
  for (let place = 0; place < symbols.length; place++) {
    if (symbols[place] === left && symbols[place + 1] === right) {
      result.push(left + right);
      place++;
    } else result.push(symbols[place]);
  }
  return result;
}

const isPrintable = (byte) => (byte > 32 && byte < 127) || (byte > 160 && byte !== 173);

/** The printable bytes of Latin-1 first, then all others: the order in which the vocabulary counts them. */
function orderOfBytes() {
  const bytes = Array.from({ length: 256 }, (_, byte) => byte);
  return [...bytes.filter(isPrintable), ...bytes.filter((byte) => !isPrintable(byte))];
}

/** Byte -> the letter that stands for it: itself where it is printable, else one from 256 on. */
function byteLetters() {
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(isPrintable(byte) ? byte : next++));
}

const ENTITIES = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\u00a0" };
const LIGATURES = /[Ĳĳŉ\u01c4-\u01cc\u01f1-\u01f3\ufb00-\ufb04\ufb06]/g;
const FULL_WIDTH = /[\u3000\uff01-\uffef]/g;
const TERMINAL = /\u001b\[[\d;]*[a-zA-Z]/g;
const CONTROLS = /[\u0000-\u0008\u000b\u000e-\u001f\u007f\u206a-\u206f\ufeff\ufff9-\ufffc]/g;

/** Small letters, single spaces, straight quotes, no ligatures, entities or control characters. */
function clean(text) {
  const plain = unescaped(text)
    .replace(TERMINAL, "")
    .replace(LIGATURES, (letter) => letter.normalize("NFKC"))
    .replace(/\ufb05/g, "\u017ft")
    .replace(FULL_WIDTH, (letter) => letter.normalize("NFKC"))
    .replace(/[\u02bc\u2018-\u201b]/g, "'")
    .replace(/[\u201c-\u201f]/g, '"')
    .toWellFormed()
    .replace(/[\u2028\u2029\u0085]/g, "\n")
    .replace(CONTROLS, "")
    .normalize("NFC");
  return unescaped(unescaped(plain)).split(/\s+/).filter(Boolean).join(" ").toLowerCase();
}

function unescaped(text) {
  return text.replace(/&(?:#(\d{1,7})|#[xX]([0-9a-fA-F]{1,6})|(amp|lt|gt|quot|apos|nbsp));/g, (whole, ten, hex, name) => {
    if (name) return ENTITIES[name];
    const code = ten ? Number(ten) : parseInt(hex, 16);
    return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : whole;
  });
}
