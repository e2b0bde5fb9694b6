// A picture in the model's input, with the same arithmetic as in training: shrinking averages areas, enlarging is
// bilinear, the rest is grey 114. Pixels are RGB bytes in rows, three to a pixel.

const GREY = 114;
const PRECISION_BITS = 22;
const BYTE_SHARES = Float32Array.from({ length: 256 }, (_, value) => value / 255);

/** {values: Float32Array (3 H W) in [0, 1], left, top, scaleX, scaleY} of an RGBA picture in an H × W input. */
export function letterbox(rgba, width, height, inputHeight, inputWidth) {
  let [fittedWidth, fittedHeight] = fittedSize(width, height, inputHeight, inputWidth);
  const rgb = opaque(rgba, width * height);
  const fitted = resized(rgb, width, height, fittedWidth, fittedHeight);
  const left = Math.floor((inputWidth - fittedWidth) / 2);
  const top = Math.floor((inputHeight - fittedHeight) / 2);
  const plane = inputHeight * inputWidth;
  const values = new Float32Array(3 * plane).fill(BYTE_SHARES[GREY]);
  for (let row = 0; row < fittedHeight; row++) {
    for (let column = 0; column < fittedWidth; column++) {
      const from = 3 * (row * fittedWidth + column);
      const to = (row + top) * inputWidth + column + left;
      for (let channel = 0; channel < 3; channel++) values[channel * plane + to] = BYTE_SHARES[fitted[from + channel]];
    }
  }
  return { values, left, top, scaleX: fittedWidth / width, scaleY: fittedHeight / height };
}

/** The largest size of the picture's shape that fits; the side that does not bind is floored. */
export function fittedSize(width, height, inputHeight, inputWidth) {
  if (width * inputHeight >= height * inputWidth) {
    return [inputWidth, Math.max(1, Math.floor((height * inputWidth) / width))];
  }
  return [Math.max(1, Math.floor((width * inputHeight) / height)), inputHeight];
}

function opaque(rgba, count) {
  const rgb = new Uint8Array(3 * count);
  for (let pixel = 0; pixel < count; pixel++) {
    rgb[3 * pixel] = rgba[4 * pixel];
    rgb[3 * pixel + 1] = rgba[4 * pixel + 1];
    rgb[3 * pixel + 2] = rgba[4 * pixel + 2];
  }
  return rgb;
}

function resized(rgb, width, height, newWidth, newHeight) {
  if (newWidth === width && newHeight === height) return rgb;
  if (newWidth < width || newHeight < height) {
    const rows = averagedRows(rgb, width, height, newHeight);
    return bytes(averagedColumns(rows, width, newHeight, newWidth));
  }
  return enlargedRows(enlargedColumns(rgb, width, height, newWidth), newWidth, height, newHeight);
}

/** For each output the inputs that it covers and their shares: [first, step shares as float32]. */
function coverage(count, newCount) {
  const width = count / newCount;
  const steps = Math.ceil(width) + 1;
  const first = new Int32Array(newCount);
  const shares = new Float32Array(newCount * steps);
  for (let place = 0; place < newCount; place++) {
    const begin = place * width;
    const end = (place + 1) * width;
    first[place] = Math.floor(begin);
    for (let step = 0; step < steps; step++) {
      const source = first[place] + step;
      shares[place * steps + step] = Math.max(0, Math.min(end, source + 1) - Math.max(begin, source)) / width;
    }
  }
  return { first, shares, steps };
}

function averagedRows(rgb, width, height, newHeight) {
  const { first, shares, steps } = coverage(height, newHeight);
  const line = 3 * width;
  const result = new Float32Array(newHeight * line);
  for (let row = 0; row < newHeight; row++) {
    for (let step = 0; step < steps; step++) {
      const share = shares[row * steps + step];
      if (share === 0) continue;
      const from = Math.min(first[row] + step, height - 1) * line;
      const to = row * line;
      for (let index = 0; index < line; index++) {
        result[to + index] = result[to + index] + Math.fround(rgb[from + index] * share);
      }
    }
  }
  return result;
}

function averagedColumns(values, width, height, newWidth) {
  const { first, shares, steps } = coverage(width, newWidth);
  const result = new Float32Array(3 * height * newWidth);
  for (let column = 0; column < newWidth; column++) {
    for (let step = 0; step < steps; step++) {
      const share = shares[column * steps + step];
      if (share === 0) continue;
      const source = Math.min(first[column] + step, width - 1);
      for (let row = 0; row < height; row++) {
        const from = 3 * (row * width + source);
        const to = 3 * (row * newWidth + column);
        for (let channel = 0; channel < 3; channel++) {
          result[to + channel] = result[to + channel] + Math.fround(values[from + channel] * share);
        }
      }
    }
  }
  return result;
}

/** Rounded to the nearest, halves to the even one, as NumPy does. */
function bytes(values) {
  const result = new Uint8Array(values.length);
  for (let index = 0; index < values.length; index++) {
    const whole = Math.floor(values[index]);
    const rest = values[index] - whole;
    const up = rest > 0.5 || (rest === 0.5 && whole % 2 === 1);
    result[index] = Math.min(255, up ? whole + 1 : whole);
  }
  return result;
}

/** For each output its inputs and their weights as whole numbers of 2^-22, as Pillow's bilinear filter has them. */
function weights(count, newCount) {
  const scale = count / newCount;
  const list = [];
  for (let place = 0; place < newCount; place++) {
    const centre = (place + 0.5) * scale;
    const begin = Math.max(0, Math.trunc(centre - 1 + 0.5));
    const end = Math.min(count, Math.trunc(centre + 1 + 0.5));
    const exact = [];
    for (let source = begin; source < end; source++) exact.push(Math.max(0, 1 - Math.abs(source - centre + 0.5)));
    const sum = exact.reduce((left, right) => left + right, 0);
    list.push({ begin, shares: exact.map((value) => Math.trunc(0.5 + (value / sum) * 2 ** PRECISION_BITS)) });
  }
  return list;
}

function enlargedColumns(rgb, width, height, newWidth) {
  const result = new Uint8Array(3 * height * newWidth);
  weights(width, newWidth).forEach(({ begin, shares }, column) => {
    for (let row = 0; row < height; row++) {
      for (let channel = 0; channel < 3; channel++) {
        let sum = 2 ** (PRECISION_BITS - 1);
        shares.forEach((share, step) => (sum += rgb[3 * (row * width + begin + step) + channel] * share));
        result[3 * (row * newWidth + column) + channel] = Math.min(255, sum >> PRECISION_BITS);
      }
    }
  });
  return result;
}

function enlargedRows(rgb, width, height, newHeight) {
  const line = 3 * width;
  const result = new Uint8Array(newHeight * line);
  weights(height, newHeight).forEach(({ begin, shares }, row) => {
    for (let index = 0; index < line; index++) {
      let sum = 2 ** (PRECISION_BITS - 1);
      shares.forEach((share, step) => (sum += rgb[(begin + step) * line + index] * share));
      result[row * line + index] = Math.min(255, sum >> PRECISION_BITS);
    }
  });
  return result;
}
