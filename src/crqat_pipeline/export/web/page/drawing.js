// Boxes with readable labels on a canvas, in the colours of the Python pictures.

const GOLDEN_RATIO = 0.618034;
const LEAST_SIDE = 480;
const LARGEST_FACTOR = 8;
const LARGEST_SIDE = 4096; // of an enlarged picture

/** A strong colour per prompt; neighbours in the list are far apart in hue. */
export function promptColor(row) {
  const hue = 360 * ((0.02 + row * GOLDEN_RATIO) % 1);
  return `hsl(${hue} 74% 62%)`;
}

/** Shows the picture, a small one enlarged by a whole factor so that labels do not hide it; returns the factor. */
export function drawPicture(canvas, picture) {
  const { width, height } = picture;
  const wished = Math.min(LARGEST_FACTOR, Math.ceil(LEAST_SIDE / Math.min(width, height)));
  const factor = Math.max(1, Math.min(wished, Math.floor(LARGEST_SIDE / Math.max(width, height))));
  canvas.width = width * factor;
  canvas.height = height * factor;
  canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
  return factor;
}

/** found: [{row, prompt, score, box}], boxes in pixels of the picture, drawn worst first. */
export function drawDetections(canvas, detections, factor) {
  const found = detections.map((each) => ({ ...each, box: each.box.map((side) => side * factor) }));
  const pen = canvas.getContext("2d");
  const shorter = Math.min(canvas.width, canvas.height);
  const size = Math.max(11, Math.round(shorter / 28));
  pen.lineWidth = Math.max(2, Math.round(shorter / 200));
  pen.font = `${size}px system-ui, sans-serif`;
  pen.textBaseline = "top";
  for (const { row, box } of [...found].reverse()) {
    pen.strokeStyle = promptColor(row);
    pen.strokeRect(box[0], box[1], box[2] - box[0], box[3] - box[1]);
  }
  for (const { row, prompt, score, box } of [...found].reverse()) {
    const text = `${prompt} ${score.toFixed(2)}`;
    const width = pen.measureText(text).width + 6;
    const x = Math.max(0, Math.min(box[0], canvas.width - width));
    const y = box[1] >= size + 6 ? box[1] - size - 6 : Math.max(0, Math.min(box[1], canvas.height - size - 6));
    pen.fillStyle = promptColor(row);
    pen.fillRect(x, y, width, size + 6);
    pen.fillStyle = "black";
    pen.fillText(text, x + 3, y + 3);
  }
}
